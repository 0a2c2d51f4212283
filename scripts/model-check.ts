import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const folder = resolve(import.meta.dirname, '..', 'test', 'simulation', 'replication')

export interface ModelCheck {
  readonly model: string
  readonly defines: readonly string[]
  /** Otherwise an error must be found. */
  readonly holds: boolean
  /** Minutes, and gigabytes: by `--full` only. */
  readonly isLong?: boolean
}

/** Numbers are as Spin says them: the many are in powers of ten. */
export interface ModelResult {
  readonly errors: number
  readonly states: number
  /** The search covered everything, and there are errors just where there must be. */
  readonly isRight: boolean
}

const ackQuorums = [1, 2, 3]
const holding = (model: string, ...more: readonly string[]): ModelCheck[] =>
  ackQuorums.map((quorum) => ({ model, defines: [`QA=${quorum}`, ...more], holds: true }))
/** With one entry in the first segment instead of two: a small part of the states. */
const short = (model: string): ModelCheck[] => holding(model, 'MAXI=1')
const long = (model: string): ModelCheck[] => holding(model).map((check) => ({ ...check, isLong: true }))
const mistaken = (model: string, ...lists: readonly (readonly string[])[]): ModelCheck[] =>
  lists.map((defines) => ({ model, defines, holds: false }))

/** A tail without a promise, damage taken for an end, a promise that is not on disk, a wiped server, a read nobody confirms. */
const mistakes = ['M_READFIRST', 'M_SHORT', 'M_VOLATILE', 'M_WIPE', 'M_NOCONFIRM'].map((name) => ['QA=2', name])
/** A seal quorum that does not meet the ack quorum. */
const smallSeal = ['QA=2', 'QS=1']
/** A read that a seal quorum confirms, which is not enough once the group has changed. */
const smallConfirm = ['QA=3', 'QC=1']

/**
 * The core of the replicated journal: how a segment is appended to, sealed, repaired and followed by another one, on the same
 * servers (append-and-seal) and on others (next-group); and how a leader changes its group (reconfigure).
 */
export const modelChecks: readonly ModelCheck[] = [
  ...short('append-and-seal.pml'),
  ...mistaken('append-and-seal.pml', smallSeal, ...mistakes),
  ...short('next-group.pml'),
  ...mistaken('next-group.pml', smallSeal, smallConfirm, ...mistakes),
  ...holding('reconfigure.pml'),
  ...mistaken('reconfigure.pml', smallSeal, smallConfirm),
  ...mistaken(
    'reconfigure.pml',
    ...['M_LATEACK', 'M_FORGET', 'M_OLDGROUP', 'M_CONFIRMOLD'].map((name) => ['QA=2', name]),
  ),
  ...long('append-and-seal.pml'),
  ...long('next-group.pml'),
]

/** Why models cannot be checked here, or null. */
export function modelRefusal(): string | null {
  const missing = ['spin', 'gcc'].filter((program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).error)
  return missing.length === 0 ? null : `there is no ${missing.join(' and no ')}: apt-get install spin gcc`
}

/** Searches all states of the model, or as far as the first error. */
export function checkModel({ model, defines, holds }: ModelCheck): ModelResult {
  const directory = mkdtempSync(join(tmpdir(), 'commanderdb-models-'))
  try {
    execute(directory, 'spin', [...defines.map((define) => `-D${define}`), '-a', join(folder, model)])
    // A mistake is found sooner than a better program is made.
    execute(directory, 'gcc', [holds ? '-O2' : '-O0', '-w', '-DSAFETY', '-DCOLLAPSE', '-o', 'pan', 'pan.c'])
    const found = execute(directory, join(directory, 'pan'), ['-m1000000'])
    const errors = Number(/errors: (\d+)/.exec(found)?.[1] ?? Number.NaN)
    const states = Number(/(\S+) states, stored/.exec(found)?.[1] ?? Number.NaN)
    // A search that was cut short proves nothing.
    const isWhole = !/max search depth too small|out of memory/.test(found) && errors >= 0
    return { errors, states, isRight: isWhole && (errors === 0) === holds }
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
