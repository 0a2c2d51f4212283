import { pack, unpack } from '../actions/message-pack.ts'
import { CommanderError } from '../kernel/errors.ts'

/** The node that leads, as clients reach it. */
export interface LeaderAddress {
  readonly id: string
  /** Where other nodes reach it. */
  readonly address: string
  /** Where it serves HTTP; absent where it does not, or has not said. */
  readonly url?: string
}

/** Who leads the journal, as its writer on this node knows. */
export interface Leadership {
  /** This writer does: it takes drafts. */
  readonly leads: boolean
  /** Of the replicated journal; 0 where one node keeps it alone. */
  readonly epoch: number
  /** Null while none is known, and where one node keeps the journal alone. */
  readonly leader: LeaderAddress | null
}

/** Of the writer of a journal that this node keeps alone. */
export const leadsAlone: Leadership = { leads: true, epoch: 0, leader: null }

/** Somebody else leads now, or this writer does. */
export interface Leading extends Leadership {
  /** Everything up to here is of before. */
  readonly written: number
}

/** Certainly nothing was taken: the caller may ask the leader. */
export const notLeader = ({ epoch, leader }: Leadership): CommanderError =>
  new CommanderError('not_leader', `${whoLeads(leader)}, and this node takes nothing: ${whereToAsk(leader)}`, {
    details: { leader, epoch, retryAfterMs },
  })

/** What was drafted while this node led, and has not come back. */
export const indeterminate = ({ epoch, leader }: Leadership): CommanderError =>
  new CommanderError(
    'indeterminate',
    `this node lost the lead before the answer, and the command may or may not have been taken; ${whoLeads(leader)}: ` +
      'send it again with the same idempotency key, or look at what it would have changed',
    { details: { leader, epoch } },
  )

const retryAfterMs = 500

const whoLeads = (leader: LeaderAddress | null): string =>
  leader === null
    ? 'no node leads the journal at the moment'
    : `node ${leader.id} at ${leader.address} leads the journal`

const whereToAsk = (leader: LeaderAddress | null): string =>
  leader === null ? 'try again in a moment' : `ask ${leader.url ?? 'that node'}`

export const encodeLeading = (message: Leading): Buffer => Buffer.from(pack(message))
export const decodeLeading = (body: Buffer): Leading => unpack(body, 0, body.length) as Leading
