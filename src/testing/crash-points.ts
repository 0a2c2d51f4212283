import type { Entry } from '../actions/action.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { EffectCall, EffectPlace } from './effect-log.ts'

/**
 * A place between what is done outside and what is recorded inside. The name of an entry is that of an action
 * (`command/received`) or of an event in it (`request/started`, `workflow/completed`, `deposited`); behind it may stand an
 * operation (`request/charge#1`, or just `charge`) or an aggregate (`account/anna`).
 *
 * drafted: it has been decided, and nobody has been told. written: it is in the operating system. flushed: it is on the disk.
 *
 * @example
 * 'effect charge: after'
 * 'request/started charge: flushed'
 * 'lsn 12: written'
 */
export type CrashPoint =
  | `effect ${string}: ${EffectPlace}`
  | `lsn ${number}: ${Exclude<EntryPlace, 'drafted'>}`
  | `${string}: ${EntryPlace}`

export type EntryPlace = 'drafted' | 'written' | 'flushed'

/** A crash that waits for its point. */
export interface PlannedCrash {
  readonly point: CrashPoint
  /** Whether it has happened. */
  readonly hasHappened: boolean
}

interface Plan {
  readonly planned: { readonly point: CrashPoint; hasHappened: boolean }
  readonly place: string
  readonly isEffect: (call: EffectCall) => boolean
  readonly isEntry: (entry: Entry) => boolean
  readonly crash: () => void
  /** So many times it is passed before. */
  passes: number
}

const no = (): boolean => false

/** Crashes that wait for their points. */
export class CrashPoints {
  #plans: Plan[] = []

  /** @param occurrence the first, second… time that the point is reached */
  plan(point: CrashPoint, occurrence: number, crash: () => void): PlannedCrash {
    const planned = { point, hasHappened: false }
    this.#plans.push({ ...parse(point), planned, crash, passes: occurrence - 1 })
    return planned
  }

  waitsFor(place: EntryPlace): boolean {
    return this.#plans.some((plan) => plan.place === place)
  }

  effect(call: EffectCall, place: EffectPlace): void {
    this.#reached((plan) => plan.place === place && plan.isEffect(call))
  }

  entry(entry: Entry, place: EntryPlace): void {
    this.#reached((plan) => plan.place === place && plan.isEntry(entry))
  }

  #reached(isAt: (plan: Plan) => boolean): void {
    const due = this.#plans.filter((plan) => isAt(plan) && plan.passes-- === 0)
    this.#plans = this.#plans.filter((plan) => !due.includes(plan))
    for (const { planned, crash } of due) {
      planned.hasHappened = true
      crash()
    }
  }
}

function parse(point: string): Pick<Plan, 'place' | 'isEffect' | 'isEntry'> {
  const [, what = '', of = '', place = ''] = /^(\S+)(?: (.+))?: (\w+)$/.exec(point) ?? []
  const isOfEffect = ['before', 'during', 'after'].includes(place)
  const isOfEntry = ['drafted', 'written', 'flushed'].includes(place)
  if (what === 'effect' && of !== '' && isOfEffect)
    return { place, isEffect: ({ operation }) => isNamed(operation, of), isEntry: no }
  if (what === 'lsn' && isOfEntry && place !== 'drafted')
    return { place, isEffect: no, isEntry: ({ lsn }) => lsn === Number(of) }
  if (what !== '' && what !== 'effect' && what !== 'lsn' && isOfEntry)
    return { place, isEffect: no, isEntry: (entry) => isAbout(entry, what, of) }
  throw new CommanderError(
    'invalid_input',
    `there is no crash point ${JSON.stringify(point)}; write for example "effect charge: after", ` +
      '"request/started charge: flushed" or "lsn 12: written"',
  )
}

function isAbout({ action }: Entry, type: string, of: string): boolean {
  const { aggregate } = action as { readonly aggregate?: { readonly type: string; readonly id: string } }
  const isOf = aggregate !== undefined && `${aggregate.type}/${aggregate.id}` === of
  if (action.type === type) return of === '' || isOf
  if (!('events' in action)) return false
  return action.events.some((event) => {
    if (event.type !== type) return false
    const { operation } = (event.data ?? {}) as { readonly operation?: string }
    return of === '' || isOf || (operation !== undefined && isNamed(operation, of))
  })
}

/** `request/charge#1` is named by itself, and by `charge`. */
const isNamed = (operation: string, name: string): boolean =>
  operation === name || operation.replace(/^\w+\//, '').replace(/#\d+$/, '') === name
