import { ReplicatedWorld } from './replicated-world.ts'
import { singleWriteJournalContract } from './single-write-journal-contract.ts'

singleWriteJournalContract('replicated', () => ReplicatedWorld.open())
