import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const repository = resolve(import.meta.dirname, '..', '..', '..')
const engines = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')).engines as { node: string }
const needed = engines.node.replace('>=', '')

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'commanderdb-launcher-'))
  mkdirSync(join(root, 'cli'))
  cpSync(join(repository, 'src', 'cli', 'commanderdb.mjs'), join(root, 'cli', 'commanderdb.mjs'))
})
afterEach(() => rmSync(root, { recursive: true }))

/** Runs the launcher beside a stand-in for main, on a Node that reports `version`. */
function launch(version: string, main: string): { status: number | null; stdout: string; stderr: string } {
  const source =
    'export const runCli = async (argv) => { console.log(argv.length === 0 ? "none" : argv.join()); return 3 }\n'
  writeFileSync(join(root, 'cli', main), source)
  const pretend = `data:text/javascript,Object.defineProperty(process.versions,'node',{value:'${version}'})`
  const args = ['--import', pretend, join(root, 'cli', 'commanderdb.mjs'), 'a', 'b']
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  return { status, stdout, stderr }
}

describe('the launcher', () => {
  it.each(['20.20.2', '22.17.9', '4.0.0'])('refuses Node %s with one line and exit code 2', (version) => {
    const { status, stdout, stderr } = launch(version, 'main.ts')
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(/^commanderdb: [^\n]*\n$/)
    expect(stderr).toContain(`Node ${version} is too old, ${needed} or newer is needed`)
    expect(stderr).toContain('npm ci')
  })

  it.each([`${needed}.0`, '23.0.0', '24.21.0', '100.0.0'])('runs main on Node %s', (version) => {
    expect(launch(version, 'main.ts')).toEqual({ status: 3, stdout: 'a,b\n', stderr: '' })
  })

  it('runs the compiled main where there is no other', () => {
    writeFileSync(join(root, 'package.json'), '{"type":"module"}')
    expect(launch('24.0.0', 'main.js')).toEqual({ status: 3, stdout: 'a,b\n', stderr: '' })
  })
})
