import type { ServerId } from './messages.ts'

/** A journal server as somebody who places segments sees it. */
export interface Candidate {
  readonly id: ServerId
  /** Two servers of a group on one host, or on one device, are lost together. */
  readonly host: string
  readonly device: string
  readonly isAlive: boolean
  /** Open segments that it takes part in. */
  readonly segments: number
  readonly bytes: number
}

/**
 * A group of `replicas` servers: who is in it and alive stays, the others are those with least to do, on a host of their
 * own where there is one, never two on one device unless that is allowed. null where there are too few.
 */
export function chooseGroup(
  candidates: readonly Candidate[],
  replicas: number,
  present: readonly ServerId[],
  mayShareDevice: boolean,
): readonly ServerId[] | null {
  const chosen: Candidate[] = []
  const alive = candidates.filter(({ isAlive }) => isAlive)
  const take = (one: Candidate): void => {
    const isFree = mayShareDevice || chosen.every((other) => other.device !== one.device || other.host !== one.host)
    if (chosen.length < replicas && isFree && !chosen.includes(one)) chosen.push(one)
  }
  for (const id of present) {
    const one = alive.find((candidate) => candidate.id === id)
    if (one !== undefined) take(one)
  }
  const others = alive.filter((one) => !chosen.includes(one)).sort(byLoad)
  for (const one of others) if (chosen.every(({ host }) => host !== one.host)) take(one)
  for (const one of others) take(one)
  return chosen.length === replicas ? chosen.map(({ id }) => id) : null
}

export const byLoad = (a: Candidate, b: Candidate): number =>
  a.segments - b.segments || a.bytes - b.bytes || (a.id < b.id ? -1 : 1)
