import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

/**
 * `npm run models`: checks the Promela model of the replicated journal exhaustively with Spin, for each quorum, and that each planted
 * mistake is found. Exits 1 if anything is otherwise, 2 where `spin` or `gcc` is missing.
 */
const folder = resolve(import.meta.dirname, '..', 'test', 'simulation', 'replication')

interface Check {
  readonly defines: readonly string[]
  readonly holds: boolean
}

const model = 'reconfigure.pml'
const mistakes = ['M_LATEACK', 'M_FORGET', 'M_OLDGROUP', 'M_CONFIRMOLD']
const checks: readonly Check[] = [
  ...[1, 2, 3].map((quorum) => ({ defines: [`QA=${quorum}`], holds: true })),
  // A seal quorum that does not meet the ack quorum.
  { defines: ['QA=2', 'QS=1'], holds: false },
  // A read that is confirmed by a seal quorum only.
  { defines: ['QA=3', 'QC=1'], holds: false },
  ...mistakes.map((mistake) => ({ defines: ['QA=2', mistake], holds: false })),
]

const isPresent = (program: string): boolean =>
  spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined

if (isPresent('spin') && isPresent('gcc')) process.exitCode = checks.filter((check) => !run(check)).length > 0 ? 1 : 0
else {
  console.error('models: spin and gcc are needed (Debian: apt-get install spin gcc)')
  process.exitCode = 2
}

/** @returns whether it came out as it has to. */
function run({ defines, holds }: Check): boolean {
  const directory = mkdtempSync(join(tmpdir(), 'commanderdb-models-'))
  try {
    execute(directory, 'spin', [...defines.map((define) => `-D${define}`), '-a', join(folder, model)])
    execute(directory, 'gcc', ['-O2', '-w', '-DSAFETY', '-DCOLLAPSE', '-o', 'pan', 'pan.c'])
    const found = execute(directory, join(directory, 'pan'), ['-m1000000'])
    const errors = Number(/errors: (\d+)/.exec(found)?.[1] ?? Number.NaN)
    const states = Number(/(\S+) states, stored/.exec(found)?.[1] ?? Number.NaN)
    // A search that was cut short proves nothing.
    const isWhole = !/max search depth too small|out of memory/.test(found) && errors >= 0
    const isRight = isWhole && (errors === 0) === holds
    const expected = holds ? 'holds' : 'is found'
    console.log(
      `${isRight ? 'ok' : 'FAILED'} ${model} ${defines.join(' ')} ${expected}: ${errors} errors, ${states} states`,
    )
    return isRight
  } finally {
    rmSync(directory, { recursive: true })
  }
}

function execute(directory: string, program: string, args: readonly string[]): string {
  const { stdout, stderr, status, error } = spawnSync(program, args, {
    cwd: directory,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  if (error !== undefined || status !== 0)
    throw new Error(`${program} ${args.join(' ')} failed: ${stderr || stdout || error}`)
  return stdout
}
