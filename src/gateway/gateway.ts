import type { Action, IdempotencyKey } from '../actions/action.ts'
import { actionCodes } from '../actions/action-codes.ts'
import {
  codeOf,
  entryFlags,
  entryOffsets,
  flagsOf,
  lengthOf,
  lsnOf,
  originOf,
  padded,
  referenceOf,
  sequenceOf,
} from '../actions/entry-layout.ts'
import { waitModes } from '../ipc/client-protocol.ts'
import type { ReadPointIs, Refused, Watermark } from '../ipc/journal-protocol.ts'
import { indeterminate, type Leadership } from '../ipc/leadership.ts'
import { asCommanderError, type CommanderError, fromWireError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { Follower, FollowerRole } from '../replica/follower.ts'
import { findKey, forgetSavedKeys, isConflict, type KeyRecord } from '../state/idempotency.ts'
import { isCallKnown, isVoidDeletion, type RootState, reduce } from '../state/root.ts'
import { Admission } from './admission.ts'
import { Answers } from './answers.ts'
import { Call, callWithoutDraft, type Replier } from './call.ts'
import { DraftSender } from './draft-sender.ts'
import type { GatewayOptions } from './gateway-options.ts'
import { type CommandAction, isOperation, Operations, type StreamAction } from './operations.ts'
import { ReadPoints } from './read-points.ts'
import { keyConflict, notTaken, refusalOf, tookNoEffect, waitModeOf } from './refusals.ts'
import { rewriteDraft } from './rewrite-draft.ts'
import { WaitingCalls } from './waiting-calls.ts'
import { mayEndWorkflow, WorkflowEnds } from './workflow-ends.ts'

/**
 * Takes commands in and gives their outcomes back. It holds nothing that is not in the journal or at the client: after
 * a crash, clients ask again under the same call number or key, and the reducer says what came of the first time (G6).
 *
 * I1. An outcome is answered once its entry is flushed, or when the caller asked for less, says so (G1, G9).
 * I2. A draft that has not come back after a new connection never became an entry: it is sent again.
 * I3. What is taken in is bounded by the admission limits (G10).
 */
export class Gateway implements FollowerRole {
  readonly #o: GatewayOptions
  readonly admission: Admission
  readonly #answers: Answers
  readonly #ends: WorkflowEnds
  readonly #sender: DraftSender
  readonly #operations = new Operations()
  #follower: Follower | null = null
  readonly #waiting = new WaitingCalls()
  readonly #appliedListeners = new Set<(applied: Lsn) => void>()
  #sendScheduled = false
  #stopping = false
  readonly #sendDue: () => void
  readonly readPoints: ReadPoints
  readonly wallMs: () => number

  constructor(options: GatewayOptions) {
    this.#o = options
    this.wallMs = () => options.environment.clock.wallMs()
    this.admission = new Admission(options.applications, options.limits)
    this.#answers = new Answers(options.store, options.archived, {
      goesOn: (call, stored) => this.#ends.goesOn(call, stored, this.#o.state.lsn),
      again: (call) => this.#again(call),
    })
    this.#ends = new WorkflowEnds({ ...options, answers: this.#answers })
    this.readPoints = new ReadPoints(options.environment, (id) => this.#follower?.askReadPoint(id) ?? false)
    this.#sender = new DraftSender(options.origin, options.environment.clock)
    this.#sendDue = () => {
      this.#sendScheduled = false
      this.#sender.send()
      this.#answers.flush()
    }
  }

  get state(): RootState {
    return this.#o.state
  }

  get marks(): { readonly written: Lsn; readonly flushed: Lsn; readonly applied: Lsn; readonly answered: Lsn } {
    const { flushed, applied, answered } = this.#answers
    return { written: this.#o.state.lsn, flushed, applied, answered }
  }

  /** Why no command is taken now; null while they are. */
  get refusal(): CommanderError | null {
    return refusalOf(this.#follower, this.#stopping)
  }

  get isReady(): boolean {
    return this.refusal === null
  }

  /** Calls that have no answer yet, but those that wait for workflows to end: their callers ask again. */
  get pendingCalls(): number {
    return this.#sender.drafted.length + this.#waiting.size + this.#answers.pending
  }

  start(follower: Follower): void {
    this.#follower = follower
    this.#sender.start(follower)
    follower.start()
  }

  /** Takes no more calls; those under way are still answered. */
  drain(): void {
    this.#stopping = true
  }

  stop(): void {
    this.#stopping = true
    this.#follower?.stop()
  }

  /** Calls `listener` whenever the store has applied more. Returns how to stop that. */
  onApplied(listener: (applied: Lsn) => void): () => void {
    this.#appliedListeners.add(listener)
    return () => this.#appliedListeners.delete(listener)
  }

  /** Takes in the draft of one command; `replier` gets exactly one answer, in this turn or later. @param wait see `waitModeOf` */
  submit(replier: Replier, request: number, wait: number, source: Buffer, offset: number): void {
    try {
      this.#submit(replier, request, wait, source, offset)
    } catch (error) {
      this.#fail(replier, request, asCommanderError(error))
    }
  }

  /** Here a connection that was full says that it takes answers again, or is gone. */
  get owed(): Pick<Answers, 'takesMore' | 'forget'> {
    return this.#answers
  }

  /** Drafts what an operator decided on a parked command; answered when it is flushed. */
  operate(replier: Replier, request: number, action: CommandAction): void {
    const refusal = this.refusal ?? this.#operations.begin(action.command)
    if (refusal !== null) return this.#fail(replier, request, refusal)
    this.#draftAction(replier, request, waitModes.received, action).commandLsn = action.command
  }

  /** Drafts what an operator decided on a stream; answered when the store has applied it. */
  propose(replier: Replier, action: StreamAction): void {
    const { refusal } = this
    if (refusal === null) this.#draftAction(replier, 0, waitModes.applied, action)
    else this.#fail(replier, 0, refusal)
  }

  /** Waits until the workflow has ended; `replier` gets the entry that says so. @throws CommanderError `overloaded` */
  awaitEnd(replier: Replier, request: number, key: string): void {
    this.#ends.assertRoom()
    this.#ends.await(callWithoutDraft(replier, request, waitModes.ended), key, this.#o.state.lsn)
    this.#sendSoon()
  }

  get endsWaitedFor(): number {
    return this.#ends.waiting
  }

  /** Nobody waits any more for the ends of workflows: one request of theirs, or all. */
  readonly forgetWaits = (replier: Replier, request?: number): void => this.#ends.forget(replier, request)

  apply(b: Buffer, offset: number): void {
    for (let o = offset; o < b.length; o += padded(lengthOf(b, o))) this.#applyEntry(b, o)
  }

  applied(): void {
    this.#answers.release()
    this.#answers.flush()
  }

  watermark(mark: Watermark): void {
    if (mark.flushed > this.#answers.flushed) this.#answers.flushedUpTo(mark.flushed)
    if (mark.applied > this.#answers.applied) this.#storeApplied(mark.applied)
    this.#answers.flush()
  }

  connected(): void {
    for (const call of this.#sender.drafted.takeAll()) this.#sender.draft(call) // I2
    this.#sender.send()
    this.readPoints.again()
  }

  following(leadership: Leadership): void {
    for (const call of this.#sender.drafted.forsake()) this.#refuse(call, indeterminate(leadership))
    this.readPoints.again()
  }

  readonly disconnected = (): void => this.readPoints.lost()
  readonly readPoint = (answer: ReadPointIs): void => this.readPoints.answered(answer)

  /** What is flushed is committed by as many journal servers as the policy wants, and is answered as `replicated`. */
  replicates(refusal: CommanderError | null): void {
    this.#answers.replicationRefusal = refusal
  }

  refused({ sequence, error }: Refused): void {
    const call = this.#sender.drafted.refuse(sequence)
    if (call !== undefined) this.#refuse(call, fromWireError(error))
  }

  readonly reset = (reason: CommanderError): void => this.#o.reset(reason)

  #submit(replier: Replier, request: number, asked: number, source: Buffer, offset: number): void {
    const { refusal } = this
    if (refusal !== null) throw refusal
    const wait = waitModeOf(asked, this.#answers.replicationRefusal)
    if (this.#follower?.isWritable !== true) throw notTaken()
    const changed = this.admission.admit(this.#o.state, this.#sender.drafted.length, source, offset)
    if (wait === waitModes.ended) this.#ends.admit(source, offset)
    const writtenIsEnough = (flagsOf(source, offset) & entryFlags.writtenIsEnough) !== 0
    const call = new Call(replier, request, wait, writtenIsEnough, source, offset, lengthOf(source, offset))
    call.definitionVersion = this.admission.admittedVersion
    const key = this.admission.keyOf(source, offset)
    if (key !== null && this.#isKnown(call, key)) return
    if (wait === waitModes.received)
      source.writeUInt16LE(flagsOf(source, offset) | entryFlags.flush, offset + entryOffsets.flags)
    const rewriting = this.admission.rewriting(source, offset, changed, key)
    if (rewriting !== null) call.replaceSource(rewriteDraft(source, offset, rewriting))
    this.#sender.draft(call)
    this.#sendSoon()
  }

  /** The short cut for a key that was used before: the answer comes from the store, and nothing is written. */
  #isKnown(call: Call, key: IdempotencyKey): boolean {
    const { state } = this.#o
    const record = findKey(state.idempotency, key.key, lsn(state.lsn + 1))
    if (record === undefined || isCallKnown(state, call.source as Buffer, call.offset)) return false
    this.#repeat(call, record.lsn, record, key, state.lsn)
    return true
  }

  #repeat(call: Call, first: Lsn, record: KeyRecord | undefined, key: IdempotencyKey | null, neededLsn: Lsn): void {
    if (key !== null && record?.lsn === first && isConflict(key, record)) {
      this.#answers.refuse(call, keyConflict(key.key, first), neededLsn)
      this.#sendSoon()
      return
    }
    call.isDuplicate = true
    call.commandLsn = first
    call.source = null
    if (this.#o.state.commands.byLsn.has(first)) this.#waitFor(call, first)
    else this.#answers.lookUp(call, neededLsn)
  }

  #waitFor(call: Call, command: Lsn): void {
    if (call.wait === waitModes.received) return this.#answers.received(call, this.#o.state.lsn)
    this.#waiting.add(call, command)
  }

  /** A parked command may have been retried, and a parked workflow as well. */
  #again(call: Call): boolean {
    const { commands, lsn: at } = this.#o.state
    if (call.workflow !== '') this.#ends.again(call, at)
    else if (commands.byLsn.has(call.commandLsn)) this.#waitFor(call, call.commandLsn)
    else return false
    return true
  }

  #draftAction(replier: Replier, request: number, wait: number, action: Action): Call {
    const call = this.#sender.draftAction(replier, request, wait, action)
    this.#sendSoon()
    return call
  }

  #sendSoon(): void {
    if (this.#sendScheduled) return
    this.#sendScheduled = true
    this.#o.environment.scheduler.soon(this.#sendDue)
  }

  #applyEntry(b: Buffer, o: number): void {
    const { state } = this.#o
    const code = codeOf(b, o)
    if (code === actionCodes['command/received']) {
      const repeats = reduce(state, b, o)
      if (originOf(b, o) === this.#o.origin) this.#received(b, o, repeats)
      return
    }
    const firstPosition = state.globalPosition + 1
    const isVoid = code === actionCodes['stream/deleted'] && isVoidDeletion(state, b, o)
    reduce(state, b, o)
    switch (code) {
      case actionCodes['command/completed']:
      case actionCodes['command/rejected']:
      case actionCodes['command/parked']:
      case actionCodes['command/skipped']: {
        const command = referenceOf(b, o)
        if (this.#waiting.has(command)) this.#ended(command, b, o, firstPosition)
        break
      }
      case actionCodes['stream/archived']:
      case actionCodes['stream/closed']:
      case actionCodes['stream/deleted']:
        if (originOf(b, o) === this.#o.origin) this.#operated(b, o, isVoid)
        return
      default:
    }
    if (mayEndWorkflow(code)) this.#ends.reduced(b, o, firstPosition)
    if (!isOperation(code)) return
    this.#operations.decided(referenceOf(b, o), lsnOf(b, o))
    if (originOf(b, o) === this.#o.origin) this.#operated(b, o, false)
  }

  #operated(b: Buffer, o: number, isVoid: boolean): void {
    const call = this.#sender.drafted.take(sequenceOf(b, o))
    if (call === null) return
    call.source = null
    if (isVoid) this.#answers.refuse(call, tookNoEffect(), lsnOf(b, o))
    else this.#answers.operated(call, b, o)
  }

  #received(b: Buffer, o: number, repeats: Lsn): void {
    const call = this.#sender.drafted.take(sequenceOf(b, o))
    if (call === null) return
    call.source = null
    if (repeats !== 0) {
      const key = this.admission.keyOf(b, o)
      const record = key === null ? undefined : findKey(this.#o.state.idempotency, key.key, lsnOf(b, o))
      return this.#repeat(call, repeats, record, key, lsnOf(b, o))
    }
    call.commandLsn = lsnOf(b, o)
    this.#waitFor(call, call.commandLsn)
  }

  #ended(command: Lsn, entry: Buffer, offset: number, firstPosition: number): void {
    const endLsn = lsnOf(entry, offset)
    const code = codeOf(entry, offset)
    for (const call of this.#waiting.take(command)) {
      const { isDuplicate, commandLsn } = call
      if (this.#ends.started(call, entry, offset)) continue
      const outcome = { commandLsn, endLsn, code, durability: 0, isDuplicate, firstPosition, entry, offset }
      this.#answers.ended(call, outcome)
    }
  }

  #storeApplied(mark: Lsn): void {
    this.#o.store.refresh()
    forgetSavedKeys(this.#o.state.idempotency, mark)
    this.#operations.storeApplied(mark)
    this.#answers.appliedUpTo(mark)
    this.#ends.appliedUpTo(mark)
    for (const listener of this.#appliedListeners) listener(mark)
  }

  #refuse({ source, offset, commandLsn, replier, request }: Call, error: CommanderError): void {
    if (source !== null && isOperation(codeOf(source, offset))) this.#operations.failed(commandLsn)
    this.#fail(replier, request, error)
  }

  #fail(replier: Replier, request: number, error: CommanderError): void {
    this.#answers.fail(replier, request, error)
    this.#sendSoon()
  }
}
