import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'

const module = pathToFileURL(join(import.meta.dirname, '../../../scripts/program-options.ts')).href
const program = `
  import { programOptions } from '${module}'
  const { number } = programOptions({ name: 'count', usage: 'count --to N' }, { to: { type: 'string', default: '5' } })
  console.log(number('to', { min: 1, isWhole: true }))
`

function run(...args: readonly string[]): readonly [code: number | null, stdout: string, stderr: string] {
  const evaluated = ['--input-type=module', '--disable-warning=ExperimentalWarning', '-e', program, '--', ...args]
  const { status, stdout, stderr } = spawnSync(process.execPath, evaluated, { encoding: 'utf8' })
  return [status, stdout.trim(), stderr.trim()]
}

test('options are read, or have their defaults', () => {
  expect(run()).toEqual([0, '5', ''])
  expect(run('--to', '7')).toEqual([0, '7', ''])
})

test('--help says what there is', () => {
  expect(run('--help')).toEqual([0, 'count --to N', ''])
})

test.each([
  [['--two', '7'], "count: Unknown option '--two'"],
  [['--to', 'seven'], 'count: --to is "seven"; it must be a whole number from 1 on; --help shows what there is'],
  [['--to', '1.5'], 'count: --to is "1.5"; it must be a whole number from 1 on; --help shows what there is'],
  [['--to', '0'], 'count: --to is "0"; it must be a whole number from 1 on; --help shows what there is'],
  [['--to', ''], 'count: --to is ""; it must be a whole number from 1 on; --help shows what there is'],
] as const)('%j is refused by one line, with exit code 2', (args, said) => {
  const [code, stdout, stderr] = run(...args)
  expect([code, stdout, stderr.split('\n').length]).toEqual([2, '', 1])
  expect(stderr).toContain(said)
})
