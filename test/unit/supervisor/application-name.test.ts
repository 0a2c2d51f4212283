import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readApplicationName } from '../../../src/supervisor/application-name-adapter.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'application-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const nameOf = (source: string): Promise<string> => {
  const path = join(directory, 'file-name.ts')
  writeFileSync(path, source)
  return readApplicationName(path)
}

it('is the name that the module gives itself, whatever else the module starts', async () => {
  expect(await nameOf("const name: string = 'bank'\nsetInterval(() => {}, 10)\nexport default { name }")).toBe('bank')
})

it.each([
  ['throws', "throw new Error('broken')"],
  ['does not parse', 'const const'],
  ['ends its process', 'process.exit(3)'],
  ['has no default export', 'export const bank = 1'],
  ['throws later', "await new Promise(() => setTimeout(() => { throw new Error('late') }))"],
])("is the file's name when the module %s", async (_what, source) => {
  expect(await nameOf(source)).toBe('file-name')
})

it("is the file's name when there is no such file", async () => {
  expect(await readApplicationName(join(directory, 'absent.ts'))).toBe('absent')
})
