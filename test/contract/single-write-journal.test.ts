import { hostWorld } from './local-worlds.ts'
import { singleWriteJournalContract } from './single-write-journal-contract.ts'

singleWriteJournalContract('memory', () => hostWorld('memory'))
singleWriteJournalContract('files of one host', () => hostWorld('files'))
