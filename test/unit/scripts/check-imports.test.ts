import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const repository = resolve(import.meta.dirname, '..', '..', '..')

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'commanderdb-imports-'))
})
afterEach(() => rmSync(root, { recursive: true }))

function plant(files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
}

interface Run {
  readonly exitCode: number
  readonly violations: string[]
}

function checkImports(): Run {
  const script = join(repository, 'scripts', 'check-imports.ts')
  try {
    execFileSync(process.execPath, [script, root], { encoding: 'utf8', stdio: 'pipe' })
    return { exitCode: 0, violations: [] }
  } catch (error) {
    const { status, stderr } = error as { status: number; stderr: string }
    return { exitCode: status, violations: stderr.trim().split('\n') }
  }
}

/** A tree that keeps every rule, so that a test's own file is the only reason to fail. */
const cleanTree = {
  'src/index.ts': "export { assert } from './kernel/assert.ts'\nexport type { Clock } from './kernel/clock.ts'\n",
  'src/kernel/assert.ts': 'export function assert(): void {}\n',
  'src/kernel/clock.ts': 'export interface Clock { wallMs(): number }\n',
  'src/kernel/system-environment.ts':
    "import type { Clock } from './clock.ts'\nexport const clock: Clock = { wallMs: () => Date.now() }\n",
  'src/ipc/socket-adapter.ts': "import { connect } from 'node:net'\nexport { connect }\n",
  'src/ipc/node-ipc-transport-adapter.ts': "import ipc from 'node-ipc'\nexport { ipc }\n",
  'src/examples/bank.ts': "import { assert } from 'commanderdb'\nassert()\n",
  'processes/gateway.ts': "import { assert } from '../src/kernel/assert.ts'\nsetTimeout(assert, 1)\n",
}

describe('the import rules', () => {
  it('accept a tree that keeps them', () => {
    plant(cleanTree)
    expect(checkImports()).toEqual({ exitCode: 0, violations: [] })
  })

  it('refuse a tree without files, which would otherwise pass unseen', () => {
    mkdirSync(join(root, 'src'))
    expect(checkImports().exitCode).toBe(1)
  })

  it.each([
    ['folder-table', 'src/kernel/up.ts', "import '../ipc/socket-adapter.ts'\n", 'kernel may not import ipc'],
    [
      'folder-table',
      'src/kernel/up.ts',
      "import type { ipc } from '../ipc/node-ipc-transport-adapter.ts'\nexport type Ipc = typeof ipc\n",
      'kernel may not import ipc',
    ],
    [
      'folder-table',
      'src/kernel/up.ts',
      "export type Ipc = typeof import('../ipc/socket-adapter.ts')\n",
      'kernel may not import ipc',
    ],
    ['folder-table', 'src/kernel/up.ts', "await import('../ipc/socket-adapter.ts')\n", 'kernel may not import ipc'],
    ['folder-table', 'src/kernel/up.ts', "export * from '../ipc/socket-adapter.ts'\n", 'kernel may not import ipc'],
    ['folder-table', 'src/kernel/up.ts', "import '../index.ts'\n", 'kernel may not import src/index.ts'],
    ['unknown-folder', 'src/helpers/up.ts', "import '../kernel/assert.ts'\n", 'helpers has no line'],
    ['only-src', 'src/kernel/up.ts', "import '../../test/fixture.ts'\n", 'imports test/fixture.ts'],
    ['only-src', 'processes/x.ts', "import './gateway.ts'\n", 'imports processes/gateway.ts'],
    [
      'package-owner',
      'src/ipc/other.ts',
      "import ipc from 'node-ipc'\n",
      'only src/ipc/node-ipc-transport-adapter.ts may',
    ],
    ['package-owner', 'src/ipc/other.ts', "import lodash from 'lodash/get'\n", 'no owner file'],
    ['package-owner', 'src/kernel/up.ts', "import 'commanderdb'\n", 'no owner file'],
    ['node-protocol', 'src/cli/up.ts', "import { join } from 'path'\n", 'write node:path'],
    ['examples', 'src/examples/x.ts', "import '../kernel/assert.ts'\n", 'examples stand alone'],
    ['examples', 'src/cli/x.ts', "import '../examples/bank.ts'\n", 'examples stand alone'],
    ['public-entry', 'src/client.ts', "import './kernel/assert.ts'\n", 'only re-exports'],
    ['public-entry', 'src/client.ts', "export * from './cli/x.ts'\n", 'cli is not public'],
    ['adapters-only', 'src/ipc/x.ts', "import { readFileSync } from 'node:fs'\nreadFileSync('x')\n", 'node:fs'],
    ['adapters-only', 'src/ipc/x.ts', "import { randomUUID } from 'node:crypto'\nrandomUUID()\n", 'randomUUID'],
    ['adapters-only', 'src/ipc/x.ts', 'export const now = (): number => Date.now()\n', 'Date.now'],
    ['adapters-only', 'src/ipc/x.ts', 'export const now = (): Date => new Date()\n', 'new Date()'],
    ['adapters-only', 'src/ipc/x.ts', 'export const roll = (): number => globalThis.Math.random()\n', 'Math.random'],
    ['adapters-only', 'src/ipc/x.ts', 'export const later: unknown = setTimeout\n', 'setTimeout'],
    ['adapters-only', 'src/ipc/x.ts', "export const home: unknown = process.env['HOME']\n", 'process.env'],
  ])('name %s for a violation in %s: %s', (rule, path, text, message) => {
    plant({ ...cleanTree, [path]: text })
    const { exitCode, violations } = checkImports()
    expect(violations).toHaveLength(1)
    expect(violations[0]).toMatch(new RegExp(`^${path}:\\d+ \\[${rule}\\] `))
    expect(violations[0]).toContain(message)
    expect(exitCode).toBe(1)
  })

  it('name no-cycles and every file of the circle, for types as well', () => {
    plant({
      ...cleanTree,
      'src/ipc/a.ts': "import type { B } from './b.ts'\nexport interface A { b: B }\n",
      'src/ipc/b.ts': "import type { C } from './c.ts'\nexport interface B { c: C }\n",
      'src/ipc/c.ts': "import type { A } from './a.ts'\nexport interface C { a: A }\n",
    })
    expect(checkImports().violations).toEqual([
      'src/ipc/c.ts:1 [no-cycles] imports itself in a circle: src/ipc/a.ts -> src/ipc/b.ts -> src/ipc/c.ts -> src/ipc/a.ts',
    ])
  })

  it('take a type of a module that reaches outside, a converted time and a member of that name for what they are', () => {
    const text = [
      "import type { Server } from 'node:net'",
      'export const at = (milliseconds: number): Date => new Date(milliseconds)',
      'export const used = (timers: { setTimeout(): void }, server: Server): unknown => [timers.setTimeout(), server]',
      'export const made: unknown = { setTimeout: 1 }',
    ]
    plant({ ...cleanTree, 'src/ipc/x.ts': `${text.join('\n')}\n` })
    expect(checkImports().violations).toEqual([])
  })

  it('fail for one import planted into a copy of the repository itself', () => {
    for (const folder of ['src', 'processes']) cpSync(join(repository, folder), join(root, folder), { recursive: true })
    const before = checkImports().violations
    plant({ 'src/kernel/planted.ts': "export { frameHeaderBytes } from '../journal/frame.ts'\n" })
    const after = checkImports().violations
    expect(after.filter((line) => !before.includes(line))).toEqual([
      expect.stringMatching(/^src\/kernel\/planted\.ts:1 \[folder-table\] kernel may not import journal/),
    ])
  })
})
