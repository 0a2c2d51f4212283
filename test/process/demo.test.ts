import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'

const repository = resolve(import.meta.dirname, '..', '..')

let directory: string
let child: ChildProcess | undefined
let output: string
let ended: Promise<number | null>
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'commanderdb-demo-'))
  output = ''
})
afterEach(async () => {
  if (child?.exitCode === null) child.kill('SIGTERM')
  await ended
  rmSync(directory, { recursive: true, force: true })
})

function run(script: string, ...args: readonly string[]): void {
  const flags = ['--data-dir', join(directory, 'data'), '--http-port', '0', ...args]
  const started = spawn(process.execPath, [join(repository, 'scripts', script), ...flags], { cwd: directory })
  child = started
  const take = (chunk: Buffer): void => {
    output += chunk
  }
  started.stdout.on('data', take)
  started.stderr.on('data', take)
  ended = new Promise((done) => started.once('close', done))
}

async function shown(pattern: RegExp): Promise<void> {
  while (!pattern.test(output)) {
    if (child?.exitCode !== null) throw new Error(`ended with ${child?.exitCode} before ${pattern}:\n${output}`)
    await new Promise((next) => setTimeout(next, 20))
  }
}

it('npm start drives the bank example through the command line, and stops with --once', async () => {
  run('demo.ts', '--once')
  expect(await ended).toBe(0)
  expect(output).toMatch(/^ready url=http:\/\/127\.0\.0\.1:\d+ pid=\d+/m)
  expect(output).toMatch(/completed .*\(outcome of an earlier call\)/)
  expect(output).toContain('was rejected: insufficient_funds')
  expect(output).toMatch(/"balanceCents": 245750/)
  const [, acknowledged, stored] = /acknowledged (\d+) cents, in the read model (\d+) cents/.exec(output) ?? []
  expect(Number(acknowledged)).toBeGreaterThan(0)
  expect(stored).toBe(acknowledged)
  expect(output).toMatch(/^stopped /m)
})

it('npm start leaves the database running until it is interrupted', async () => {
  run('demo.ts')
  await shown(/Ctrl-C[\s\S]*openapi\.json/)
  expect(child?.exitCode).toBeNull()
  child?.kill('SIGINT')
  expect(await ended).toBe(0)
})

it('npm run dev starts the database again when the application changes', async () => {
  const module = join(directory, 'bank.ts')
  const source = `export { default } from ${JSON.stringify(join(repository, 'src', 'examples', 'bank', 'bank.ts'))}\n`
  writeFileSync(module, source)
  run('dev.ts', '--app', module)
  await shown(/^ready /m)
  writeFileSync(module, 'export default 5\n')
  await shown(/default export is 5[\s\S]*starts again with the next change/)
  writeFileSync(module, source)
  await shown(/next change[\s\S]*^ready /m)
  child?.kill('SIGTERM')
  expect(await ended).toBe(0)
})
