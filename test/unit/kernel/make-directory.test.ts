import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeDirectory, makeDirectoryNow } from '../../../src/kernel/make-directory-adapter.ts'

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'make-directory-'))
})
afterAll(() => rmSync(root, { recursive: true }))

describe.each([
  ['waiting', makeDirectory],
  ['at once', async (path: string) => makeDirectoryNow(path)],
] as const)('a directory that is made %s', (name, make) => {
  const at = (...parts: readonly string[]): string => join(root, name, ...parts)

  it('comes with those above it, for this user only, and says which of them is the first that is new', async () => {
    expect(await make(at('a', 'b', 'c'))).toBe(at())
    expect(statSync(at('a', 'b', 'c')).mode & 0o777).toBe(0o700)
    expect(await make(at('a', 'b', 'd', 'e'))).toBe(at('a', 'b', 'd'))
    expect(await make(at('a', 'b'))).toBe(undefined)
  })

  it('may be asked for by several at once', async () => {
    const made = await Promise.all(Array.from({ length: 8 }, () => make(at('many', 'x', 'y'))))
    expect(made.filter((first) => first === at('many'))).toHaveLength(1)
    expect(existsSync(at('many', 'x', 'y'))).toBe(true)
  })

  it('is refused below a file, behind a link to nowhere, and where a file system takes no names', async () => {
    await make(at())
    writeFileSync(at('file'), '')
    symlinkSync(at('nowhere'), at('link'))
    await expect(make(at('file'))).rejects.toMatchObject({ code: 'EEXIST' })
    await expect(make(at('file', 'x'))).rejects.toMatchObject({ code: 'ENOTDIR' })
    await expect(make(at('link', 'x'))).rejects.toMatchObject({ code: 'EEXIST' })
    // Node's own recursive mkdir never comes back from there.
    await expect(make('/proc/no-such-process/x')).rejects.toMatchObject({ code: 'ENOENT' })
    expect(existsSync(at('nowhere'))).toBe(false)
  })
})
