import { readdir, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'

/** In the directory of a host: says that the first servers were provisioned. After that only whoever asks for them gets more. */
export const doneName = 'servers-provisioned'
export const serversName = 'servers'
export const removedName = 'removed'
/** In the directory of a server. */
export const slotName = 'slot'

/** Of those that a host begins with the ids that its next start provisions; null: it did so before. */
export async function firstToProvision(directory: string, first: readonly string[]): Promise<readonly string[] | null> {
  if (first.length === 0 || (await isThere(join(directory, doneName)))) return null
  const isRemoved = await Promise.all(first.map((id) => isThere(join(directory, removedName, id))))
  return first.filter((_, index) => isRemoved[index] === false)
}

/** What lies in the directories of these servers; where two have the same one, the first keeps it. */
export async function readSlots(servers: string, ids: readonly string[]): Promise<Map<string, number>> {
  const slots = new Map<string, number>()
  for (const id of ids) {
    const text = await readFile(join(servers, id, slotName), 'utf8').catch(() => '')
    const slot = Number(text)
    if (/^[1-9]\d{0,3}\n$/.test(text) && ![...slots.values()].includes(slot)) slots.set(id, slot)
  }
  return slots
}

/** For a server without one: its place among the first, or the least that no other has. */
export function freeSlot(id: string, first: readonly string[], slots: ReadonlyMap<string, number>): number {
  const taken = new Set(slots.values())
  const own = first.indexOf(id) + 1
  let slot = own > 0 && !taken.has(own) ? own : 1
  while (taken.has(slot)) slot++
  return slot
}

/** The servers that the next start of a host runs, with the slots that they will have. Nothing is made for it. */
export async function slotsToBe(dataDir: string, first: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const directory = resolve(dataDir)
  const servers = join(directory, serversName)
  const provisioned = await readdir(servers).catch((): string[] => [])
  const ids = [...new Set([...provisioned, ...((await firstToProvision(directory, first)) ?? [])])].sort()
  const slots = await readSlots(servers, ids)
  for (const id of ids) if (!slots.has(id)) slots.set(id, freeSlot(id, first, slots))
  return slots
}

export const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
