import { by, type Mutant } from './mutant.ts'

const settled = 'test/unit/replication/settled-swap.test.ts'
const registry = 'test/unit/replication/cluster-registry.test.ts'
const role = 'test/unit/replication/stream-role.test.ts'
const roles = 'test/unit/replication/stream-roles.test.ts'
const file = 'test/unit/replication/file-metadata-store.test.ts'
const image = 'test/unit/replication/metadata-image.test.ts'

export const metadataMutants: readonly Mutant[] = [
  {
    name: 'a swap that was sent again is taken for lost when it finds itself there',
    attacks: 'M4, a lost answer',
    file: 'src/replication/settled-swap.ts',
    text: 'result.swapped || unsettled === null || result.current?.value !== value',
    replacement: 'result.swapped || unsettled !== null || result.current?.value !== value',
    foundBy: [
      by(settled, 'knows whether it happened, whatever of it and of its answers is lost, and however late it comes'),
    ],
  },
  {
    name: 'a revision is used again for a key that was deleted',
    attacks: 'M2',
    file: 'src/replication/metadata-image.ts',
    text: '  const revision = image.revision + 1\n',
    replacement: '  const revision = (current?.revision ?? 0) + 1\n',
    foundBy: [by(image, 'never uses a revision again, be it of a key that was deleted or that ended with its lease')],
  },
  {
    name: 'values of a metadata store that somebody put back are believed',
    attacks: 'M2',
    file: 'src/replication/file-metadata-versions.ts',
    text: 'if (revision < knownRevision)',
    replacement: 'if (revision < 0)',
    foundBy: [
      by(file, 'a metadata store that is a directory does not go on with values that somebody put back or took away'),
    ],
  },
  {
    name: 'a change that others were faster with is told as made',
    attacks: 'M1',
    file: 'src/replication/file-metadata-versions.ts',
    text: 'if (isAbsent(error)) return false',
    replacement: 'if (isAbsent(error)) return true',
    foundBy: [
      by(
        file,
        'a metadata store that is a directory refuses the change of whoever stood still while others went on, and leaves nothing of it',
      ),
      by(
        'test/contract/metadata-store.test.ts',
        'a metadata store: a directory loses no change of several that count on one value',
      ),
    ],
  },
  {
    name: 'a watch is shown what is older than it has seen',
    attacks: 'M1',
    file: 'src/replication/watched-values.ts',
    text: 'if (listing.revision < this.#revision) return null',
    replacement: 'if (listing.revision < 0) return null',
    foundBy: [
      by(
        'test/unit/replication/memory-metadata-store.test.ts',
        'a metadata store in memory shows a watch that is behind nothing older than it has seen, and all of it later',
      ),
    ],
  },
  {
    name: 'an id is free as soon as its server was deregistered, whoever names it',
    attacks: 'I8, I17',
    file: 'src/replication/cluster-registry.ts',
    text: "if (streams.length > 0) return { state: 'leaving', streams }",
    replacement: '',
    foundBy: [
      by(
        registry,
        'a journal server that a segment names is marked as leaving, and its id is free when none does any more',
      ),
      by(registry, 'a journal server of whose group and deregistration at the same time one fails, in every order'),
    ],
  },
  {
    name: 'a server that lost its disk takes the place of the one it was',
    attacks: 'I17',
    file: 'src/replication/cluster-registry.ts',
    text: 'known !== null && known.identity !== record.identity',
    replacement: 'known === null && record.identity === cluster',
    foundBy: [
      by(
        registry,
        'a journal server that lost its disk is not taken for the one it was, until that one is deregistered',
      ),
    ],
  },
  {
    name: 'a node believes an older record of the stream',
    attacks: 'I1',
    file: 'src/replication/stream-role.ts',
    text: 'value !== null && value.revision < known',
    replacement: 'value !== null && value.revision < 0',
    foundBy: [by(role, 'a role is what the latest record says, whichever comes last')],
  },
  {
    name: 'servers of a group count that may have been deregistered meanwhile',
    attacks: 'C2, I17',
    file: 'src/replication/rules.ts',
    text: 'mayCount: (isGroupConfirmed: boolean): boolean => isGroupConfirmed,',
    replacement: 'mayCount: (isGroupConfirmed: boolean): boolean => isGroupConfirmed || true,',
    foundBy: [
      by(
        'test/unit/replication/leader.test.ts',
        'a leader whose group is not confirmed yet commits nothing of it, whatever its members have flushed, until none of them was deregistered meanwhile (C2)',
      ),
    ],
  },
  {
    name: 'the next segment counts servers that were not confirmed for the one before',
    attacks: 'C2, I17',
    file: 'src/replication/rules.ts',
    text: 'id === one.id && identity === one.identity',
    replacement: 'id === one.id && identity !== undefined',
    foundBy: [
      by(
        'test/unit/replication/leader.test.ts',
        'a leader whose group is not confirmed yet asks nothing more of a group of which all were confirmed for the segment before',
      ),
    ],
  },
  {
    name: 'a change that can wait is begun while the metadata store does not answer',
    attacks: 'commits go on without the metadata store',
    file: 'src/replication/patient-wishes.ts',
    text: '!isAnswered || leader === null',
    replacement: 'leader === null',
    foundBy: [
      by(
        'test/unit/replication/patient-wishes.test.ts',
        'changes of the record that nobody waits for are not begun where it does not answer, and asked for again later',
      ),
    ],
  },
  {
    name: 'who cannot repair the log keeps the lease',
    attacks: 'liveness of elections',
    file: 'src/replication/stream-role.ts',
    text: 'this.#key.isTaken && nowMs - this.#campaignSinceMs < limits.recoveryPatienceMs',
    replacement: 'this.#key.isTaken && nowMs > this.#campaignSinceMs',
    foundBy: [by(roles, 'the role of a node goes to another when who has it cannot repair the log')],
  },
]
