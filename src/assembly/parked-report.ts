import type { Counter, Metrics } from '../observability/metrics.ts'
import type { countParked } from '../tables/workflow-index.ts'
import type { RestartingProjectionApplier } from './start-projection-applier.ts'

/** What waits for a person, as the projection applier reports it, and its metrics, which are set with each report. */
export function parkedReport(
  running: Pick<RestartingProjectionApplier, 'parked' | 'parkings'>,
  metrics: Metrics,
): () => { readonly parked: ReturnType<typeof countParked> } {
  const commands = metrics.gauge('parked_commands', 'Commands that are parked now and wait for a person.')
  const workflows = metrics.gauge('parked_workflows', 'Workflows that are parked now and wait for a person.')
  const commandsTotal = upTo(metrics.counter('commands_parked_total', 'Commands parked since the process began.'))
  const workflowsTotal = upTo(metrics.counter('workflows_parked_total', 'Workflows parked since the process began.'))
  return () => {
    const { parked, parkings } = running
    commands.set(parked.commands)
    workflows.set(parked.workflows)
    commandsTotal(parkings.commands)
    workflowsTotal(parkings.workflows)
    return { parked }
  }
}

/** Brings a counter to what was counted elsewhere. */
function upTo(counter: Counter): (total: number) => void {
  let counted = 0
  return (total) => {
    counter.increment(total - counted)
    counted = total
  }
}
