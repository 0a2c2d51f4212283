import { describeReplicationSeeds } from './seeds.ts'

describeReplicationSeeds(1001, 500)
