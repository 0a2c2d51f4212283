import { describeReplicationSeeds } from './seeds.ts'

describeReplicationSeeds(501, 500)
