import { describeWorkflowSeeds } from './workflow-seeds.ts'

describeWorkflowSeeds(251, 250)
