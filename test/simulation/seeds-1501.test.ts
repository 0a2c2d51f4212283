import { describeSeeds } from './seeds.ts'

describeSeeds(1501, 500)
