import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

// The loader runs in a process of its own: the test runner would load modules in its own way, with other errors.

const repository = resolve(import.meta.dirname, '..', '..', '..')
const adapter = join(repository, 'src', 'sdk', 'load-module-adapter.ts')
const entry = JSON.stringify(join(repository, 'src', 'index.ts'))
const runner = `
  const [adapter, ...calls] = process.argv.slice(1)
  const loader = await import(adapter)
  const results = []
  for (const call of calls) {
    const [name, path] = call.split(' ')
    results.push(await loader[name](path).then(
      (value) => ({ value: value?.name ?? value }),
      ({ code, message }) => ({ code, message }),
    ))
  }
  console.log(JSON.stringify(results))
`

const files = {
  'package.json': '{ "type": "module" }',
  'good.ts': `import { defineAggregate, defineApplication } from ${entry}
const a = defineAggregate({ name: 'a', initialState: () => 0, decide: { x: () => [] }, evolve: { y: (s: number) => s } })
export default defineApplication({ name: 'good', aggregates: [a] })`,
  'syntax.ts': 'const a = 1\nconst b: number = {{\nexport default a\n',
  'syntax.js': 'const a = 1\nconst b = {{\nexport default a\n',
  'syntax-export.js': 'const a =\nexport default 5\n',
  'enum.ts': 'const a = 1\nenum B { C }\nexport default a\n',
  'imports-syntax.ts': 'import "./syntax.ts"\n',
  'of-npm-init/package.json': '{\n  "name": "mine",\n  "type": "commonjs"\n}\n',
  'of-npm-init/imports.ts': 'import "./nowhere.ts"\n',
  'of-npm-init/exports.js': 'export default 5\n',
  'no-file.ts': 'import "./nowhere.ts"\n',
  'no-ending.ts': 'import "./good"\n',
  'js-ending.ts': 'import "./good.js"\n',
  'throws.ts': '\n\nconst a = JSON.parse("{")\nexport default a\n',
  'throws-text.js': 'throw "no luck"\n',
  'wrong-definition.ts': `import { defineAggregate } from ${entry}\n\nexport default defineAggregate({ name: 'a b' } as never)\n`,
  'no-default.ts': 'export const application = 1\n',
  'plain.ts': 'export default { name: "bank" }\n',
  'config.ts': 'export default { dataDir: "x" }\n',
  'config-function.ts': 'export default () => ({})\n',
  'map.ts': 'export const csv = { delimiter: ";" }\nexport function toCommand() {}\n',
  'map-without.ts': 'export const csv = {}\n',
  'map-delimiter.ts': 'export const csv = { delimiter: ";;" }\nexport function toCommand() {}\n',
} as const

type Outcome = { readonly value?: unknown; readonly code?: string; readonly message?: string }

describe('the module loader', () => {
  let directory = ''
  let outcomes: ReadonlyMap<string, Outcome> = new Map()
  const calls = [
    ...Object.keys(files)
      .filter((name) => /^(?!config|map|.*package)/.test(name))
      .map((name) => `loadApplication ${name}`),
    'loadApplication missing.ts',
    'loadApplication .',
    'loadConfigFile config.ts',
    'loadConfigFile config-function.ts',
    'loadConfigFile syntax.ts',
    'loadImportMap map.ts',
    'loadImportMap map-without.ts',
    'loadImportMap map-delimiter.ts',
    'findConfigFile .',
    'findConfigFile missing',
  ]

  beforeAll(() => {
    directory = realpathSync(mkdtempSync(join(tmpdir(), 'commanderdb-load-')))
    mkdirSync(join(directory, 'of-npm-init'))
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
    writeFileSync(join(directory, 'commanderdb.config.js'), 'export default {}\n')
    const args = ['--input-type=module', '--eval', runner, adapter, ...calls]
    const { stdout, stderr, error } = spawnSync(process.execPath, args, { cwd: directory, encoding: 'utf8' })
    if (error) throw error
    // Node itself warns of what it does not take for a module.
    expect(stderr.replace(/^(\(node:.*of-npm-init|\(Use `node --trace-warnings).*\n/gm, '')).toBe('')
    const results: readonly Outcome[] = JSON.parse(stdout)
    outcomes = new Map(calls.map((call, index) => [call, results[index] ?? {}]))
  })

  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  it('loads TypeScript as it is', () => {
    expect(outcomes.get('loadApplication good.ts')).toEqual({ value: 'good' })
  })

  it.each([
    ['syntax.ts', /^SyntaxError: .* \(line [23]\)$/],
    ['syntax.js', /^SyntaxError: Unexpected token '\{' \(line 2\)$/],
    ['enum.ts', /^SyntaxError: TypeScript enum is not supported in strip-only mode \(line 2\)$/],
    ['imports-syntax.ts', /^SyntaxError: .* \(\/.*\/syntax\.ts line [23]\)$/],
    ['syntax-export.js', /^SyntaxError: Unexpected token 'export' \(line 2\)$/],
    [
      'of-npm-init/imports.ts',
      /^SyntaxError: Cannot use import .*; \/.*\/of-npm-init\/package\.json has "type": "commonjs": write "type": "module" there$/,
    ],
    ['of-npm-init/exports.js', /^SyntaxError: Unexpected token 'export'; .*write "type": "module" there$/],
    ['no-file.ts', /^Cannot find module '.*nowhere\.ts' imported from .*no-file\.ts$/],
    ['no-ending.ts', /^Cannot find module '.*good' imported from .*no-ending\.ts; Node takes .*: import good\.ts$/],
    ['js-ending.ts', /^Cannot find module '.*good\.js' imported from .*js-ending\.ts; Node takes .*: import good\.ts$/],
    ['throws.ts', /^SyntaxError: .*JSON.* \(line 3\)$/],
    ['throws-text.js', /^no luck$/],
    ['wrong-definition.ts', /^the name of the aggregate is "a b", but .* \(line 3\)$/],
    ['no-default.ts', /^it has no default export; export default defineApplication\(\{ … \}\)$/],
    ['plain.ts', /^its default export is an object; export default defineApplication/],
    ['missing.ts', /^there is no such file$/],
  ])('says in one line why %s does not load, and where', (name, reason) => {
    const { code, message = '' } = outcomes.get(`loadApplication ${name}`) ?? {}
    const start = `the application module ${join(directory, name)} does not load: `
    expect(code).toBe('invalid_module')
    expect(message.slice(0, start.length)).toBe(start)
    expect(message.slice(start.length)).toMatch(reason)
    expect(message).not.toContain('\n')
  })

  it('does not take a directory for a module', () => {
    expect(outcomes.get('loadApplication .')).toMatchObject({ code: 'invalid_module' })
  })

  it('loads config files, and reports them as such', () => {
    expect(outcomes.get('loadConfigFile config.ts')).toEqual({ value: { dataDir: 'x' } })
    expect(outcomes.get('loadConfigFile config-function.ts')).toMatchObject({
      code: 'invalid_config',
      message: expect.stringContaining('config-function.ts does not load: its default export is a function'),
    })
    expect(outcomes.get('loadConfigFile syntax.ts')).toMatchObject({ code: 'invalid_config' })
  })

  it('loads map modules and checks their exports', () => {
    expect(outcomes.get('loadImportMap map.ts')).toEqual({ value: { csv: { delimiter: ';' } } })
    expect(outcomes.get('loadImportMap map-without.ts')?.message).toMatch(
      /map-without\.ts does not export a function toCommand/,
    )
    expect(outcomes.get('loadImportMap map-delimiter.ts')?.message).toMatch(
      /csv\.delimiter is ";;", but must be one character/,
    )
  })

  it('finds the config file of a directory', () => {
    expect(outcomes.get('findConfigFile .')).toEqual({ value: join(directory, 'commanderdb.config.js') })
    expect(outcomes.get('findConfigFile missing')).toEqual({})
  })
})
