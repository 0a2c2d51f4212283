import { describeReplicationSeeds } from './seeds.ts'

describeReplicationSeeds(1, 500)
