import { archiveMutants } from './archive-mutants.ts'
import { clusterArchiveMutants } from './cluster-archive-mutants.ts'
import { journalMutants } from './journal-mutants.ts'
import { journalServerMutants } from './journal-server-mutants.ts'
import { metadataMutants } from './metadata-mutants.ts'
import type { Mutant } from './mutant.ts'
import { restoreMutants } from './restore-mutants.ts'
import { roleMutants } from './role-mutants.ts'
import { standbyMutants } from './standby-mutants.ts'
import { stateMutants } from './state-mutants.ts'
import { storeMutants } from './store-mutants.ts'

export const mutants: readonly Mutant[] = [
  ...journalMutants,
  ...archiveMutants,
  ...clusterArchiveMutants,
  ...restoreMutants,
  ...stateMutants,
  ...roleMutants,
  ...journalServerMutants,
  ...standbyMutants,
  ...metadataMutants,
  ...storeMutants,
]
