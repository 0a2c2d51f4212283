import { type Epoch, epoch } from '../kernel/identifiers.ts'
import { type MetadataStore, metadataKeys } from './metadata-store.ts'

/** Why the node that leads does not do what is suggested to it: for whoever suggested it. */
export interface SuggestionRefusal {
  /** Under which it leads. */
  readonly epoch: Epoch
  readonly why: string
}

/** Replaces what was said before. @throws CommanderError `metadata_unavailable` */
export async function putRefusal(store: MetadataStore, stream: string, refusal: SuggestionRefusal): Promise<void> {
  const key = metadataKeys.refusal(stream)
  const found = await store.get(key)
  // Where somebody else was faster, what he says is as new.
  await store.compareAndSwap(key, found?.revision ?? 0, JSON.stringify(refusal))
}

/** What is said from now on is of what is suggested from now on. @throws CommanderError `metadata_unavailable` */
export async function removeRefusal(store: MetadataStore, stream: string): Promise<void> {
  const key = metadataKeys.refusal(stream)
  const found = await store.get(key)
  if (found !== null) await store.compareAndSwap(key, found.revision, null)
}

/** @returns null where nothing was refused, or nothing that can be read. @throws CommanderError `metadata_unavailable` */
export async function readRefusal(store: MetadataStore, stream: string): Promise<SuggestionRefusal | null> {
  const found = await store.get(metadataKeys.refusal(stream))
  if (found === null) return null
  try {
    const { epoch: under, why } = JSON.parse(found.value) as Partial<SuggestionRefusal>
    return Number.isSafeInteger(under) && typeof why === 'string' ? { epoch: epoch(under as number), why } : null
  } catch {
    return null
  }
}
