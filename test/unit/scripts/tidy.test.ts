import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { packageOwners } from '../../../scripts/import-rules.ts'
import { tidy } from '../../../scripts/tidy-check.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'commanderdb-tidy-'))
})
afterEach(() => rmSync(root, { recursive: true }))

function plant(files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
}

const owners = Object.entries(packageOwners)
const manifest = {
  dependencies: Object.fromEntries(owners.map(([name]) => [name, '1.2.3'])),
  devDependencies: { tool: '4.5.6' },
  allowScripts: { lmdb: true },
}
const lockFile = {
  packages: {
    '': { hasInstallScript: true },
    'node_modules/lmdb': { hasInstallScript: true },
    'node_modules/tool': {},
  } as Record<string, { hasInstallScript?: boolean }>,
}
const rows = owners.map(([name, owner]) => `| ${name} | 1.2.3 | \`${owner}\` | a reason |`)
const tidyTree = {
  ...Object.fromEntries(owners.map(([, owner]) => [owner, ''])),
  'package.json': JSON.stringify(manifest),
  'package-lock.json': JSON.stringify(lockFile),
  'tsconfig.json': '{}',
  'README.md': 'All is well.\n',
  'ARCHITECTURE.md': '',
  'CHANGELOG.md': '',
  'JOURNAL_FORMAT.md': '',
  'CONTRIBUTING.md': `${[...rows, '| tool | 4.5.6 | a reason |'].join('\n')}\n`,
  '.gitignore': '',
  '.ci/run': '',
  'bench/run.ts': '',
  'processes/gateway.ts': '',
  'scripts/tidy.ts': '',
  'test/unit/a.test.ts': '',
}

describe('tidy', () => {
  it('finds nothing in a tidy tree', () => {
    plant(tidyTree)
    expect(tidy(root)).toEqual([])
  })

  it('names a file at the top level that is not on the list, and one that is missing', () => {
    plant({ ...tidyTree, 'notes.txt': '', 'node_modules/left-alone/index.js': '' })
    rmSync(join(root, 'CHANGELOG.md'))
    expect(tidy(root)).toEqual([
      expect.stringMatching(/^notes\.txt: \[top-level\]/),
      'CHANGELOG.md: [top-level] is missing',
    ])
  })

  // Put together here, because tidy reads this file too.
  it.each([
    ['// TO', 'DO: later'],
    ['// FIX', 'ME'],
    ['const path = "/wo', 'rk/main"'],
    ['see ../sha', 'red/design'],
    ['as iss', 'ue 12 asks'],
    ['https://registry.np', 'mjs.org'],
    ['<<<<', '<<< HEAD'],
  ])('names the file and the line of "%s%s"', (start, end) => {
    plant({ ...tidyTree, 'src/kernel/planted.ts': `\n${start}${end}\n` })
    expect(tidy(root)).toEqual([expect.stringMatching(/^src\/kernel\/planted\.ts:2: \[words\]/)])
  })

  it('names a version that is not exact', () => {
    const loose = { ...manifest, devDependencies: { tool: '^4.5.6' } }
    plant({ ...tidyTree, 'package.json': JSON.stringify(loose) })
    expect(tidy(root)).toContainEqual('package.json: [dependencies] tool@^4.5.6 is not exact')
  })

  it('names a dependency without a row in CONTRIBUTING.md, or with a row for another version or without a reason', () => {
    plant({ ...tidyTree, 'CONTRIBUTING.md': `${[...rows, '| tool | 4.5.6 | |'].join('\n')}\n` })
    expect(tidy(root)).toEqual([expect.stringContaining('no row that starts with "| tool | 4.5.6 |"')])
    plant({ 'CONTRIBUTING.md': `${[...rows, '| tool | 4.5.5 | a reason |'].join('\n')}\n` })
    expect(tidy(root)).toEqual([expect.stringContaining('no row that starts with "| tool | 4.5.6 |"')])
  })

  it('names a dependency without an owner file, and an owner file that is missing', () => {
    const more = { ...manifest, dependencies: { ...manifest.dependencies, lodash: '1.2.3' } }
    plant({ ...tidyTree, 'package.json': JSON.stringify(more) })
    expect(tidy(root)).toContainEqual('package.json: [dependencies] lodash has no owner file')
    plant(tidyTree)
    rmSync(join(root, packageOwners['lmdb'] ?? ''))
    expect(tidy(root)).toEqual([`${packageOwners['lmdb']}: [dependencies] is missing, but owns lmdb`])
  })

  it('names an install script that nobody reviewed, and a review that is no longer needed', () => {
    const packages = { ...lockFile.packages, 'node_modules/a/node_modules/sneaky': { hasInstallScript: true } }
    plant({ ...tidyTree, 'package-lock.json': JSON.stringify({ packages }) })
    expect(tidy(root)).toEqual([
      expect.stringMatching(/^package\.json: \[install-scripts\] sneaky has an install script/),
    ])
    plant({ 'package-lock.json': JSON.stringify({ packages: {} }) })
    expect(tidy(root)).toEqual([
      expect.stringMatching(/^package\.json: \[install-scripts\] lmdb has no install script/),
    ])
  })
})
