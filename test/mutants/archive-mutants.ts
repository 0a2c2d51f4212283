import { by, type Mutant } from './mutant.ts'

const archiver = 'test/unit/archive/archiver.test.ts'
const sealed = 'test/unit/archive/sealed-segments.test.ts'
const vault = 'test/unit/archive/segment-vault.test.ts'
const target = 'test/contract/archive-target.test.ts'
const retention = 'test/unit/journal-writer/retention.test.ts'

export const archiveMutants: readonly Mutant[] = [
  {
    name: 'a segment is said to be archived before the archive has confirmed it',
    attacks: 'G8, archive',
    file: 'src/archive/archiver.ts',
    text: '    const result = await this.#o.vault.store(segment)\n    this.#stored(segment, result)\n',
    replacement: "    this.#stored(segment, 'created')\n    await this.#o.vault.store(segment)\n",
    foundBy: [
      by(
        archiver,
        'the archiver keeps its hands off another segment of the same name, and holds everything behind it back',
      ),
    ],
  },
  {
    name: 'a segment is archived before its seal is flushed',
    attacks: 'archive, lost write',
    file: 'src/archive/sealed-segments.ts',
    text: 'next.baseLsn <= flushedLsn',
    replacement: 'next.baseLsn <= flushedLsn + 1',
    foundBy: [
      by(sealed, 'a segment counts as sealed once the entry behind its seal is flushed, and not an entry sooner'),
    ],
  },
  {
    name: 'other bytes in the archive are taken for the same',
    attacks: 'archive',
    file: 'src/archive/segment-vault.ts',
    text: '    await this.#compare(place, segment)\n',
    replacement: '',
    foundBy: [
      by(vault, 'a sealed segment is not taken for archived where the archive has another byte, which stays as it is'),
    ],
  },
  {
    name: 'the beginning of a segment in the archive is taken for the whole',
    attacks: 'archive',
    file: 'src/archive/segment-vault.ts',
    text: 'return ours.length === 0 && own.next().done === true ? null : at',
    replacement: 'return null',
    foundBy: [
      by(
        vault,
        'a sealed segment is not taken for archived where the archive has only its beginning, which stays as it is',
      ),
    ],
  },
  {
    name: 'an object of the archive is replaced by other bytes',
    attacks: 'archive',
    file: 'src/archive/file-directory-target.ts',
    text: "    await link(temporary, path)\n    return 'created'",
    replacement: "    await rename(temporary, path)\n    return 'created'",
    foundBy: [by(target, 'an archive in a directory leaves what is there as it is, whoever put it')],
  },
  {
    name: 'an archive that is down is asked without bound of the pause',
    attacks: 'G10',
    file: 'src/archive/archiver.ts',
    text: 'Math.min(retryDelayMsMax, retryDelayMsMin * 2 ** Math.min(this.#failures - 1, 10))',
    replacement: 'retryDelayMsMin * 2 ** Math.min(this.#failures - 1, 10)',
    foundBy: [by(archiver, 'a failing archive is tried again, later and later, at least once a minute, and said once')],
  },
  {
    name: 'a segment is removed before the archive has it',
    attacks: 'G8, archive',
    file: 'src/journal-writer/retention.ts',
    text: 'Math.min(this.#checkpoint, this.#archived ?? this.#checkpoint)',
    replacement: 'this.#checkpoint',
    foundBy: [by(retention, 'segments stay that the archive does not have')],
  },
  {
    name: 'a segment is removed before the checkpoint has passed it, because the archive has it',
    attacks: 'G8',
    file: 'src/journal-writer/retention.ts',
    text: 'Math.min(this.#checkpoint, this.#archived ?? this.#checkpoint)',
    replacement: '(this.#archived ?? this.#checkpoint)',
    foundBy: [by(retention, 'segments stay that hold an entry behind the checkpoint, although the archive has them')],
  },
  {
    name: 'the last entry of a segment is not waited for',
    attacks: 'G8',
    file: 'src/journal-writer/retention.ts',
    text: 'this.#archived ?? this.#checkpoint) + 1)',
    replacement: 'this.#archived ?? this.#checkpoint) + 2)',
    foundBy: [by(retention, 'segments stay that hold an entry behind the checkpoint')],
  },
  {
    name: 'a segment is removed that a follower has yet to read',
    attacks: 'G8',
    file: 'src/journal-writer/retention.ts',
    text: '    for (const { next } of readers()) if (next < before) before = next // I2\n',
    replacement: '',
    foundBy: [by(retention, 'segments stay that a process has yet to read')],
  },
  {
    name: 'a segment is removed before anything is known of the archive',
    attacks: 'G8, archive',
    file: 'src/journal-writer/retention.ts',
    text: '    if (!this.#isKnown) return lsn(0)\n',
    replacement: '',
    foundBy: [by(retention, 'segments stay until the applier has been heard of, whatever the store had')],
  },
]
