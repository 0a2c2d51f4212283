import { BaseSequencer, type TestSpecification } from 'vitest/node'

/**
 * Files that take long, each project's longest first. Without results of an earlier run the largest files would come first,
 * and the seeds, which are three lines each, last: one worker then waits for the other at the end.
 */
const longest = [
  'test/simulation/seeds-',
  'test/simulation/workflow-seeds-',
  'test/simulation/plants.',
  'test/property/journal-damage.',
  'test/property/fuzz.',
  'test/simulation/workflow-plants.',
  'test/unit/testing/test-database.',
  'test/process/crash-application.',
  'test/process/attestation.',
  'test/process/overload.',
  'test/process/crash.',
  'test/process/cli-import.',
  'test/process/cli-start.',
  'test/process/s3-backup.',
  'test/process/restore-bad-input.',
  'test/process/package.',
  'test/process/archive.',
  'test/process/cli.',
  'test/process/torture.',
]

const rankOf = ({ moduleId }: TestSpecification): number => {
  const rank = longest.findIndex((start) => moduleId.includes(start))
  return rank < 0 ? longest.length : rank
}

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const projects = [...new Set(sorted.map(({ project }) => project.name))]
    return projects.flatMap((name) =>
      sorted.filter(({ project }) => project.name === name).sort((a, b) => rankOf(a) - rankOf(b)),
    )
  }
}
