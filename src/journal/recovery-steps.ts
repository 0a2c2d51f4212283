import { unreachable } from '../kernel/assert.ts'
import { journalLimits } from './options.ts'
import type { RecoveryStep } from './recovery-plan.ts'
import type { JournalFile, JournalStorage } from './storage.ts'

/** Carries out a plan, step by step. @throws CommanderError journal_full | journal_failed */
export async function carryOut(storage: JournalStorage, steps: readonly RecoveryStep[]): Promise<void> {
  for (const step of steps) await carryOutStep(storage, step)
}

async function carryOutStep(storage: JournalStorage, step: RecoveryStep): Promise<void> {
  switch (step.kind) {
    case 'remove':
      return storage.remove(step.name)
    case 'rename':
      return storage.rename(step.name, step.to)
    case 'copy':
      return copyAside(storage, step)
    case 'zero':
      return using(storage.open(step.name), (file) => zero(file, step.from, step.to))
    case 'writeBack':
      return using(storage.open(step.name), (file) => copyRange(file, file, step.from, step.to, step.from))
    case 'flush':
      return flushFile(storage, step.name)
    case 'flushNames':
      return storage.flushNames()
    default:
      return unreachable(step)
  }
}

async function copyAside(
  storage: JournalStorage,
  { name, from, to, as }: RecoveryStep & { kind: 'copy' },
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    storage.create(as, to - from, false, (error) => (error === null ? resolve() : reject(error)))
  })
  const source = storage.openReadOnly(name)
  const target = storage.open(as)
  try {
    copyRange(source, target, from, to, 0)
    await flushed(target)
  } finally {
    source.close()
    target.close()
  }
}

function copyRange(source: JournalFile, target: JournalFile, from: number, to: number, at: number): void {
  const slice = Buffer.allocUnsafe(Math.min(journalLimits.copySliceBytes, to - from))
  for (let done = 0; done < to - from; done += slice.length) {
    const part = slice.subarray(0, Math.min(slice.length, to - from - done))
    target.write([part.subarray(0, source.read(part, from + done))], at + done)
  }
}

function zero(file: JournalFile, from: number, to: number): void {
  const zeros = Buffer.alloc(Math.min(journalLimits.copySliceBytes, to - from))
  for (let at = from; at < to; at += zeros.length) file.write([zeros.subarray(0, Math.min(zeros.length, to - at))], at)
}

async function flushFile(storage: JournalStorage, name: string): Promise<void> {
  const file = storage.open(name)
  try {
    await flushed(file)
  } finally {
    file.close()
  }
}

function flushed(file: JournalFile): Promise<void> {
  return new Promise((resolve, reject) => file.flush((error) => (error === null ? resolve() : reject(error))))
}

function using(file: JournalFile, run: (file: JournalFile) => void): void {
  try {
    run(file)
  } finally {
    file.close()
  }
}
