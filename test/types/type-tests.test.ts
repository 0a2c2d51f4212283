import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

const repository = resolve(import.meta.dirname, '..', '..')
const compiler = join(repository, 'node_modules', 'typescript', 'bin', 'tsc')

/** The compiler's complaints, one a line; empty when everything compiles. */
function compile(project: string): string {
  const { stdout, stderr, status, error } = spawnSync(process.execPath, [compiler, '-p', project], { encoding: 'utf8' })
  if (error) throw error
  return status === 0 ? '' : `${stdout}${stderr}`
}

describe('the promises of inference', () => {
  it('hold: every *.test-d.ts compiles, and each @ts-expect-error in them meets an error', () => {
    const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.test-d.ts'))
    expect(files).not.toEqual([])
    expect(compile(join(import.meta.dirname, 'tsconfig.json'))).toBe('')
  })

  it('are checked: a wrong type and an error that does not come are both reported', () => {
    const directory = mkdtempSync(join(tmpdir(), 'commanderdb-types-'))
    try {
      const project = join(directory, 'tsconfig.json')
      writeFileSync(join(directory, 'package.json'), '{"type":"module"}')
      const extended = join(import.meta.dirname, 'tsconfig.json')
      writeFileSync(
        project,
        JSON.stringify({ extends: extended, compilerOptions: { types: [] }, include: ['*.test-d.ts'] }),
      )
      writeFileSync(join(directory, 'wrong.test-d.ts'), "export const amount: number = 'five'\n")
      writeFileSync(join(directory, 'missing.test-d.ts'), '// @ts-expect-error\nexport const amount: number = 5\n')
      const complaints = compile(project)
      expect(complaints.trim().split('\n')).toEqual([
        expect.stringMatching(/missing\.test-d\.ts.*TS2578/),
        expect.stringMatching(/wrong\.test-d\.ts.*TS2322/),
      ])
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
