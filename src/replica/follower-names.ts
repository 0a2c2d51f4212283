const prefix = 'application-'

/** The name under which an application instance follows the journal. */
export const followerOfInstance = (instance: string): string => prefix + instance
