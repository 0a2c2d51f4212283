import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { packagedManifest, restoreManifest, swapManifest } from '../../../scripts/package-manifest.ts'

const repository = resolve(import.meta.dirname, '..', '..', '..')
// With spacing that JSON.stringify would not give back.
const original =
  '{ "name":"commanderdb","scripts":{"prepare":"a","prepack":"b","postpack":"c","test":"d"},"bin":{"commanderdb":"src/cli/x.mjs"},\n"exports":{".":"./src/index.ts"} }'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'commanderdb-manifest-'))
  writeFileSync(join(root, 'package.json'), original)
})
afterEach(() => rmSync(root, { recursive: true }))

const manifest = (): string => readFileSync(join(root, 'package.json'), 'utf8')

describe('the manifest of the package', () => {
  it('points the binary and every TypeScript entry to compiled files with their types, and keeps of the scripts those that mend a tree', () => {
    const before = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as Record<string, unknown>
    const { prepack, postpack, prepare } = before['scripts'] as Record<string, string>
    const after = JSON.parse(packagedManifest(JSON.stringify(before))) as Record<string, unknown>
    expect(after).toEqual({
      ...before,
      scripts: { prepack, postpack, postprepare: prepare },
      bin: { commanderdb: 'dist/src/cli/commanderdb.mjs' },
      exports: {
        '.': { types: './dist/src/index.d.ts', default: './dist/src/index.js' },
        './client': { types: './dist/src/client.d.ts', default: './dist/src/client.js' },
        './testing': { types: './dist/src/testing.d.ts', default: './dist/src/testing.js' },
        './package.json': './package.json',
      },
    })
  })

  it('is swapped in and out, byte for byte, and leaves nothing behind', () => {
    swapManifest(root)
    expect(manifest()).toBe(packagedManifest(original))
    expect(restoreManifest(root)).toBe(true)
    expect(manifest()).toBe(original)
    expect(restoreManifest(root)).toBe(false)
    expect(readdirSync(root, { recursive: true }).sort()).toEqual(['dist', 'package.json'])
  })

  it('leaves a package.json alone that was edited after an interrupted pack', () => {
    swapManifest(root)
    writeFileSync(join(root, 'package.json'), '{"edited":true}')
    expect(restoreManifest(root)).toBe(false)
    expect(manifest()).toBe('{"edited":true}')
    expect(restoreManifest(root)).toBe(false)
  })
})
