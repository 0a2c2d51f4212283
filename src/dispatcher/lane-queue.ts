import { Heap } from '../kernel/heap.ts'
import type { PendingCommand } from '../state/commands.ts'
import type { Place } from '../state/queues.ts'

export type PlacedCommand = PendingCommand & { readonly place: Place }

/** Commands that wait in one partition of a queue: by priority, then in the order in which they came. */
export class LaneQueue extends Heap<PlacedCommand> {
  readonly place: Place

  constructor(place: Place) {
    super(isBefore)
    this.place = place
  }
}

const isBefore = (a: PlacedCommand, b: PlacedCommand): boolean =>
  a.place.priority === b.place.priority ? a.lsn < b.lsn : a.place.priority > b.place.priority
