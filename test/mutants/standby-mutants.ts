import { by, type Mutant } from './mutant.ts'

const standby = 'test/unit/journal-writer/standby.test.ts'
const journal = 'test/unit/replication/replicated-journal.test.ts'
const cache = 'test/unit/assembly/stream-cache.test.ts'
const epochs = 'test/unit/state/epochs.test.ts'
const guard = 'test/unit/state/token-guard.test.ts'
const gateway = 'test/unit/gateway/gateway.test.ts'
const readPoints = 'test/unit/gateway/read-points.test.ts'
const waiter = 'test/unit/gateway/apply-waiter.test.ts'
const tail = 'test/unit/replication/linearizable-tail.test.ts'
const refusal = 'test/unit/replication/replication-refusal.test.ts'
const cut = 'test/unit/journal/cut.test.ts'
const severalNodes = 'test/unit/client/several-nodes.test.ts'
const silentNodes = 'test/unit/client/silent-nodes.test.ts'

/** What goes wrong when the lead of a replicated journal goes from one node to another. */
export const standbyMutants: readonly Mutant[] = [
  {
    name: 'a batch that a full journal had no room for is lost',
    attacks: 'G10, standby',
    file: 'src/replication/batch-queue.ts',
    text: '    const batch = this.#queue.peek()\n',
    replacement: '    const batch = this.#queue.shift()\n',
    foundBy: [
      by('test/unit/replication/batch-queue.test.ts', 'takes no more than it may hold, until what it holds was taken'),
    ],
  },
  {
    name: 'what is written at the leader counts as committed',
    attacks: 'G1, standby',
    file: 'src/replication/replicated-journal.ts',
    text: 'return this.#leader?.committed ?? this.writtenLsn // I1',
    replacement: 'return this.writtenLsn',
    foundBy: [
      by(
        journal,
        'the journal of a node that leads is flushed when all that was written at the flush is committed, and not before',
      ),
    ],
  },
  {
    name: 'a writer leads before the entry that says so is flushed',
    attacks: 'standby',
    file: 'src/journal-writer/tenure.ts',
    text: '    this.#next = { at: lsn(at), leadership: { leads: true, epoch, leader } }\n',
    replacement:
      '    this.#next = { at: lsn(at), leadership: { leads: true, epoch, leader } }\n    this.flushedUpTo(at)\n',
    foundBy: [
      by(
        standby,
        'a writer that comes to lead says so in the journal first, and to those that follow once that is flushed',
      ),
    ],
  },
  {
    name: 'a writer that stands by takes drafts',
    attacks: 'G3, standby',
    file: 'src/journal-writer/journal-writer.ts',
    text: '    if (!this.#tenure.leads)\n      from',
    replacement: '    if (this.#stopped)\n      from',
    foundBy: [by(standby, 'a writer that stands by takes no drafts, whoever sends some')],
  },
  {
    name: 'a writer that stands by does not learn who is assigned what',
    attacks: 'G3, G5, standby',
    file: 'src/journal-writer/standby.ts',
    text: 'guard.apply(payload, o) // I1',
    replacement: 'payload.fill(payload, o, o)',
    foundBy: [
      by(
        standby,
        'a writer that comes to lead knows which workflows of the former leader are at work: they go on here, under a new assignment',
      ),
    ],
  },
  {
    name: 'assignments outlive the leader that made them',
    attacks: 'G5, standby',
    file: 'src/state/root.ts',
    text: '      releaseEverything(state)\n      deregisterAll(',
    replacement: '      deregisterAll(',
    foundBy: [
      by(
        epochs,
        'when another node leads commands stay pending and are started nowhere, with the attempts and the delay that they had',
      ),
    ],
  },
  {
    name: 'the guard forgets what it knew of instances although the entry could not be written',
    attacks: 'G5, standby',
    file: 'src/state/token-guard.ts',
    text: '      for (const instance of former) this.#instances.add(instance)\n',
    replacement: '',
    foundBy: [by(guard, 'the guard takes back that another node leads when that could not be written')],
  },
  {
    name: 'entries that were not committed stay in the segments of a node that led',
    attacks: 'standby',
    file: 'src/assembly/common-end.ts',
    text: 'if (ours === undefined || !isSame(ours, theirs)) break',
    replacement: 'if (ours === undefined) break',
    foundBy: [
      by(
        cache,
        'the local segments of a replicated journal lose what is not known to be committed, and what another leader has put something else in place of',
      ),
    ],
  },
  {
    name: 'a call that was under way when the lead was lost is never answered',
    attacks: 'G1, standby',
    file: 'src/gateway/gateway.ts',
    text: 'for (const call of this.#sender.drafted.forsake()) this.#refuse(call, indeterminate(leadership))',
    replacement:
      'if (leadership.leads) for (const call of this.#sender.drafted.forsake()) this.#refuse(call, indeterminate(leadership))',
    foundBy: [
      by(
        gateway,
        'while another node leads a call that was drafted when this one led is told that nobody knows, and its entry may still come',
      ),
    ],
  },
  {
    name: 'the mark of a clean stop outlives the entries that it vouches for',
    attacks: 'R4, R7, standby',
    file: 'src/journal/cut.ts',
    text: '    if (names.includes(cleanStopName)) storage.remove(cleanStopName)\n',
    replacement: '',
    foundBy: [
      by(cut, 'a stopped journal that is cut has no mark of a clean stop any more, which would vouch for what is gone'),
    ],
  },
  {
    name: 'a client takes the refusal of a call for good that may have been taken before',
    attacks: 'G1, standby',
    file: 'src/client/call-pipeline.ts',
    text: '      if (call.isUnderWay) call.isUnsure = true\n',
    replacement: '',
    foundBy: [
      by(
        severalNodes,
        'a client over sockets of a database on several nodes does not say so of a call that was sent before, over a connection that was lost',
      ),
    ],
  },
  {
    name: 'what has no key is asked again at the next node when the first one is silent',
    attacks: 'G1, standby',
    file: 'src/client/http-calls.ts',
    text: "  if (error instanceof SilentNodeError && repeat === 'always') return 0\n",
    replacement: '  if (error instanceof SilentNodeError) return 0\n',
    foundBy: [
      by(
        silentNodes,
        'a client over HTTP of several nodes, one of which stands still asks what changes something and has no key nowhere else',
      ),
    ],
  },
  {
    name: 'a linearizable read is served by a question that was asked before it came',
    attacks: 'I12, reads',
    file: 'src/gateway/read-points.ts',
    text: '    const reads = this.#asked\n',
    replacement: '    const reads = [...this.#asked, ...this.#waiting.splice(0)]\n',
    foundBy: [
      by(readPoints, 'linearizable reads of one gateway are not served by a question that was asked before they came'),
    ],
  },
  {
    name: 'a linearizable read does not wait for what the leader has confirmed',
    attacks: 'I12, reads',
    file: 'src/gateway/apply-waiter.ts',
    text: 'this.wait(Math.max(least, point), timeoutMs, done)',
    replacement: 'this.wait(least, timeoutMs, done)',
    foundBy: [
      by(
        waiter,
        'a linearizable read waits until the store has what the journal writer says, and whatever else it is to see',
      ),
    ],
  },
  {
    name: 'what a node hears of one that led before serves a read after another one leads',
    attacks: 'I12, reads',
    file: 'src/replication/linearizable-tail.ts',
    text: 'this.#connection.address !== leader.address) this.#leave()',
    replacement: 'this.#connection.address !== leader.address) this.#connection = null',
    foundBy: [
      by(
        tail,
        'a node that asks how far a linearizable read has to wait asks another one when that one leads, and takes nothing of the silent one any more',
      ),
    ],
  },
  {
    name: 'a follower answers linearizable reads by what it has itself',
    attacks: 'I12, reads',
    file: 'src/journal-writer/journal-writer.ts',
    text: 'options.standby?.readPoint ?? (async () => journal.flushedLsn)',
    replacement: 'async () => journal.flushedLsn',
    foundBy: [
      by(
        standby,
        'a writer that stands by asks elsewhere how far a linearizable read has to wait, and passes on what it hears',
      ),
    ],
  },
  {
    name: 'what two journal servers on one disk have counts as replicated',
    attacks: 'durability',
    file: 'src/replication/replication-refusal.ts',
    text: 'checkGroup(group, { policy: open.policy, mayShareDevice })',
    replacement: 'checkGroup(group, { policy: open.policy, mayShareDevice: true })',
    foundBy: [
      by(
        refusal,
        'that what is flushed is replicated is not where two of them share one, unless that is allowed for development; others may',
      ),
    ],
  },
  {
    name: 'a command that must be replicated is taken where that cannot be promised',
    attacks: 'durability',
    file: 'src/gateway/refusals.ts',
    text: '    if (refusal !== null) throw refusal\n',
    replacement: '',
    foundBy: [
      by(
        gateway,
        'a call that must be replicated is refused where one node keeps the journal alone, before anything is drafted',
      ),
    ],
  },
]
