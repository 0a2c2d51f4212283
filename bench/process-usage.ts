import { readdirSync, readFileSync } from 'node:fs'

/** Processor time of one process since it began, in seconds. */
export interface CpuUse {
  readonly userSeconds: number
  readonly systemSeconds: number
  /** By thread: of the main one, of libuv's pool, and of the others, which are V8's but for lmdb's. */
  readonly mainSeconds: number
  readonly poolSeconds: number
  readonly otherSeconds: number
}

/** USER_HZ: fixed at 100 for programs, whatever the kernel's own clock. */
const ticksPerSecond = 100

/** Linux only. */
export function readCpuUse(pid: number): CpuUse {
  const process = ticksOf(`/proc/${pid}/stat`)
  let poolTicks = 0
  let otherTicks = 0
  let mainTicks = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const { name, user, system } = ticksOf(`/proc/${pid}/task/${thread}/stat`)
    if (thread === String(pid)) mainTicks += user + system
    else if (name.startsWith('libuv-worker')) poolTicks += user + system
    else otherTicks += user + system
  }
  return {
    userSeconds: process.user / ticksPerSecond,
    systemSeconds: process.system / ticksPerSecond,
    mainSeconds: mainTicks / ticksPerSecond,
    poolSeconds: poolTicks / ticksPerSecond,
    otherSeconds: otherTicks / ticksPerSecond,
  }
}

export const cpuSecondsOf = ({ userSeconds, systemSeconds }: CpuUse): number => userSeconds + systemSeconds

/** Of all processors together since the machine began: everything but idle, waiting for disks, and stolen by others. */
export function readBusySeconds(): number {
  const [all = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1)
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0] = all.trim().split(/ +/).slice(1).map(Number)
  return (user + nice + system + irq + softIrq) / ticksPerSecond
}

export function cpuUseBetween(before: CpuUse, after: CpuUse): CpuUse {
  return {
    userSeconds: after.userSeconds - before.userSeconds,
    systemSeconds: after.systemSeconds - before.systemSeconds,
    mainSeconds: after.mainSeconds - before.mainSeconds,
    poolSeconds: after.poolSeconds - before.poolSeconds,
    otherSeconds: after.otherSeconds - before.otherSeconds,
  }
}

/** Proportional set size in MiB: memory shared by n processes counts as an n-th in each. Linux only. */
export function readPssMiB(pid: number): number {
  const [, kib] = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')) ?? []
  return Number(kib) / 1024
}

/** Of that, what is in no file: heaps and buffers. The rest is pages of the store and of programs. Linux only. */
export function readAnonymousMiB(pid: number): number {
  const [, kib] = /^Pss_Anon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')) ?? []
  return Number(kib) / 1024
}

function ticksOf(path: string): { readonly name: string; readonly user: number; readonly system: number } {
  const text = readFileSync(path, 'utf8')
  const nameEnd = text.lastIndexOf(')')
  const fields = text.slice(nameEnd + 2).split(' ')
  return { name: text.slice(text.indexOf('(') + 1, nameEnd), user: Number(fields[11]), system: Number(fields[12]) }
}
