import { by, type Mutant } from './mutant.ts'

const handle = 'test/unit/store/lmdb-handle.test.ts'
const others = 'test/contract/store-process.test.ts'

export const storeMutants: readonly Mutant[] = [
  {
    name: 'a store is opened while it is written',
    attacks: 'L6',
    file: 'src/store/lmdb-gate.ts',
    text: 'if (shared.database === null || shared.depth > 0) return run()',
    replacement: 'if (shared.depth >= 0) return run()',
    foundBy: [
      by(others, 'the LMDB store and other processes is opened, written and closed while nobody else does any of it'),
    ],
  },
  {
    name: 'a transaction that would undo the one before goes on',
    attacks: 'L7',
    file: 'src/store/lmdb-environment.ts',
    text: 'if (this.root.getWriteTxnId() <= this.lastTxnId) throw new SetBack()',
    replacement: 'if (this.root.getWriteTxnId() < 0) throw new SetBack()',
    foundBy: [
      by(
        handle,
        'a handle of the LMDB store that another program disturbs makes no transaction that would undo the one before, opens the store anew, and makes it then, once',
      ),
    ],
  },
]
