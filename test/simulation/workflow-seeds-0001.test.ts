import { describeWorkflowSeeds } from './workflow-seeds.ts'

describeWorkflowSeeds(1, 250)
