/**
 * Whether a value has been marked with this symbol (`Symbol.for`). What crosses packages is known by that and not by its
 * class, because two copies of the package may be loaded.
 */
export const hasBrand = (value: unknown, brand: symbol): boolean =>
  typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[brand] === true
