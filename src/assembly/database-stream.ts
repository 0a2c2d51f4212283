/** The stream of a database: what the cluster keeps is one journal. */
export const databaseStream = 'database'
