import { assert } from './assert.ts'

declare const brand: unique symbol
type Branded<Name extends string> = number & { readonly [brand]: Name }

/** Number of a journal entry: 1, 2, 3… without gaps. 0 means "before the first". u64 on disk, a safe integer in memory. */
export type Lsn = Branded<'Lsn'>
/** Number of an event in its stream: 1, 2, 3… without gaps. 0 is the revision of an empty stream. */
export type Revision = Branded<'Revision'>
/** Number of an event among all events: 1, 2, 3… without gaps. */
export type GlobalPosition = Branded<'GlobalPosition'>
/** The lock of an aggregate by one application instance: the LSN of the entry that made the assignment. */
export type Token = Branded<'Token'>
/** Number of a term of leadership of a replicated stream, and of the segment that it opened: 1, 2, 3…, in which some may be left out. */
export type Epoch = Branded<'Epoch'>

export const lsn = (value: number): Lsn => value as Lsn
export const revision = (value: number): Revision => value as Revision
export const globalPosition = (value: number): GlobalPosition => value as GlobalPosition
export const token = (value: number): Token => value as Token

export const epoch = (value: number): Epoch => value as Epoch

export const noLsn: Lsn = 0 as Lsn
export const noEpoch: Epoch = 0 as Epoch

export const nextLsn = (value: Lsn): Lsn => {
  assert(value < Number.MAX_SAFE_INTEGER, 'LSN space exhausted')
  return (value + 1) as Lsn
}
