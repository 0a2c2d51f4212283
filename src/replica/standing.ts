import { type Leadership, leadsAlone } from '../ipc/leadership.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'

/** `following`: caught up with a writer that does not lead, and so takes no drafts. `connected`: with one that does. */
export type StandingState = 'apart' | 'catchingUp' | 'following' | 'connected'

/** How a follower stands to its journal writer: whether it is caught up, and whether that one leads. */
export class Standing {
  state: StandingState = 'apart'
  /** As the writer said last. */
  leadership: Leadership = leadsAlone
  #awaited: Lsn = lsn(0)

  /** With a writer that leads or one that stands by. */
  get isCaughtUp(): boolean {
    return this.state === 'connected' || this.state === 'following'
  }

  /** The writer does not lead: it takes no drafts, whether we are caught up or not. */
  get isStandingBy(): boolean {
    return this.state !== 'apart' && !this.leadership.leads
  }

  /** The writer accepted us, when it had written so much. Again after we were too slow, which changes nothing. */
  accepted(leadership: Leadership, written: number): void {
    this.leadership = leadership
    if (this.state === 'apart') this.#await(written)
    else if (this.state === 'following' && leadership.leads) this.#await(written)
  }

  /** The writer says who leads now. */
  heard(leadership: Leadership, written: number): void {
    this.leadership = leadership
    if (leadership.leads && this.state !== 'connected') this.#await(written)
  }

  /** @returns whether it was caught up. */
  lost(): boolean {
    const was = this.isCaughtUp
    this.state = 'apart'
    return was
  }

  /** Everything up to `applied` is applied, and nothing is to be read from the segments. @returns whether it is caught up just now */
  applied(applied: Lsn): boolean {
    if (this.state !== 'catchingUp' || applied < this.#awaited) return false
    this.state = this.leadership.leads ? 'connected' : 'following'
    return true
  }

  #await(written: number): void {
    this.state = 'catchingUp'
    this.#awaited = lsn(written)
  }
}
