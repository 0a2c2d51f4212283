import { describeSeeds } from './seeds.ts'

describeSeeds(1001, 500)
