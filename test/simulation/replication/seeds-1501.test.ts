import { describeReplicationSeeds } from './seeds.ts'

describeReplicationSeeds(1501, 500)
