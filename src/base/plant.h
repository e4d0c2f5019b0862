/* Planted bugs: mistakes that somebody might make one day, built in on purpose to see that the tests would notice
 * (`./dev crash --planted`). A normal build has none: the predicate is constant and costs nothing. A build with meson's
 * option `planted` has them all, and PERDURE_PLANT=NAME in its environment lets one of them loose. */
#ifndef PD_BASE_PLANT_H
#define PD_BASE_PLANT_H

#include <stdbool.h>

enum pd_plant {
	PD_PLANT_NONE,
	PD_PLANT_SKIP_SYNC,            /* the log never syncs what it wrote */
	PD_PLANT_SKIP_DIRECTORY_SYNC,  /* new names are left to the kernel */
	PD_PLANT_SKIP_STAMP_CHECK,     /* every sector counts as written in this life of its segment */
	PD_PLANT_SKIP_HARDEN,          /* a new epoch is built on what may only be in the page cache */
	PD_PLANT_REPLY_EARLY,          /* replies are shown before what they saw has settled */
	PD_PLANT_REPLY_WRITTEN,        /* written is taken for durable */
	PD_PLANT_REUSE_EPOCH,          /* an epoch's number is given again */
	PD_PLANT_IDEMPOTENCY_SEPARATE, /* a stored result is a transaction of its own */
	PD_PLANT_KEEP_REFUSED,         /* what a refused transaction did stays */
	PD_PLANT_FLUSH_AHEAD,          /* state goes to disk before the log has it on stable storage */
	PD_PLANT_APPLIED_AHEAD,        /* the state says that it has applied one record more than it has */
	PD_PLANT_SKIP_STATE_SYNC,   /* files of the levels are named by a manifest before they are synced */
	PD_PLANT_FORGET_TOMBSTONES, /* deletes are not written to the levels */
	PD_PLANT_FORGET_RANGES,     /* nor are range tombstones */
	PD_PLANT_ALWAYS_FRESH,      /* nothing is ever thought to be hidden by a newer entry */
	PD_PLANT_TRIM_EARLY, /* the log is trimmed up to what is durable, not to what is kept elsewhere */
	PD_PLANT_READ_ERROR_IS_NOTHING, /* what cannot be read counts as not there */
	PD_PLANT_FLUSH_LOSSY,           /* a replay that lost records moves the state on */
	PD_PLANT_BELIEVE_STATE,         /* state that is ahead of the log is used */
	PD_PLANT_VIEW_BEHIND,           /* a view has not what was frozen last */
	PD_PLANT_DROP_KEEPS_NAME,       /* of a dropped actor the name stays in the state */
	PD_PLANT_DROP_NOT_REPLAYED,     /* the entries of a dropped actor come back with a replay */
	PD_PLANT_NO_FENCE,              /* epochs of writes are not looked at */
	PD_PLANT_REUSE_ACTOR_ID,        /* the highest id is that of an actor that is there */
	PD_PLANT_NAME_SYNC_IGNORED,     /* a directory that would not sync counts as synced */
	PD_PLANT_SYNC_COVERS_ALL,       /* a background sync counts for what was written while it ran, too */
	PD_PLANT_FRAMES_SEALED_EARLY, /* a record in frames has the checksum of the segment before its own */
	PD_PLANT_GROUP_HAS_LAST_LEVEL, /* a group is written as its last record wants it, not as its strictest */
	PD_PLANT_UNDO_FORGETS_EXPIRING, /* what is taken back stays in the count of keys that expire */
	PD_PLANT_COUNTERS_OF_NOW,     /* a flush writes the counters of now, not those of its own position */
	PD_PLANT_RANGES_FIRST,        /* a batch's deleted ranges hide what the same batch has put */
	PD_PLANT_NO_DOUBT,            /* a manifest that could not be made durable counts as never written */
	PD_PLANT_RETAIN_INSIDE,       /* the checkpoint that the retention window begins with goes, too */
	PD_PLANT_EXPIRY_FLOOR_STAYS,  /* what expires before what was seen last is never looked for */
	PD_PLANT_VIEW_CURSOR_REPEATS, /* a cursor whose view has moved tells its last key again */
	PD_PLANT_KNOWN_BY_NAME,       /* a file is as it was in the last checkpoint if name and size are */
	PD_PLANT_LEVEL_OF_FIRST,      /* a transaction has the level of its first actor, not the strongest */
	PD_PLANT_ABORT_LEAVES_OVER,   /* a large value whose deletion was taken back is swept all the same */
	PD_PLANT_STAGED_FOR_NAMESAKE, /* what has arrived for a dropped actor is taken by the next of its name */
	PD_PLANT_UNKNOWN_LOSS_IGNORED,  /* damage whose end nobody knows puts nobody into quarantine */
	PD_PLANT_LEASE_NOT_EXCLUSIVE,   /* after a start, exclusive leases are ordinary ones */
	PD_PLANT_EXPIRED_IN_QUOTA,      /* keys that have expired go on counting for their tenant's quota */
	PD_PLANT_JOIN_BY_LSN,           /* state and log belong together, whatever their epochs */
	PD_PLANT_READ_STRICT_BEHIND,    /* a strict read does not wait for the group that is being filled */
	PD_PLANT_HASH_KEEPS_VERSION,    /* a hash in which a field gets another value keeps its version */
	PD_PLANT_APPEND_FORGETS_EXPIRY, /* a large string that is appended to never expires */
	PD_PLANT_TURN_WAITS_FOR_FIRST,  /* of a turn's replies only the first is waited for */
	PD_PLANT_BRAKE_FORGETS_KEY,     /* a write that had to wait has lost its idempotency key */
	PD_PLANT_UNSYNCED_SEAL,         /* a segment is left for the next without being synced */
	PD_PLANT_MARK_FORGOTTEN,        /* groups do not say up to where everything was durable */
	PD_PLANT_MARK_AHEAD,            /* groups say that what is in flight were durable */
	PD_PLANT_IGNORE_WRITE_ERROR,    /* a write that failed counts as written */
	PD_PLANT_RETRY_SYNC,            /* a sync that failed is tried once more, and believed then */
	PD_PLANT_IGNORE_SYNC_ERROR,     /* a background sync that failed counts as synced */
	PD_PLANT_NO_BACKGROUND_SYNC,    /* weak writes are never synced for their own sake */
	PD_PLANT_FLIGHT_OVERTAKES, /* a group counts when it has landed, whether those before it have or not */
	PD_PLANT_RESERVE_NOTHING,  /* an LSN is given before there is room for its record */
	PD_PLANT_CHECKSUM_WITHOUT_PLACE,    /* checksums say nothing of the place */
	PD_PLANT_CHECKSUM_UNCHECKED,        /* a group's checksum is not looked at */
	PD_PLANT_RECORD_CHECKSUM_UNCHECKED, /* of a damaged group every record is handed out */
	PD_PLANT_CHAIN_UNCHECKED,           /* a group need not follow the one before it */
	PD_PLANT_ROT_IS_TORN,               /* whatever is no group is taken for a torn tail */
	PD_PLANT_HOLE_REPLAYED,             /* groups behind a hole are replayed */
	PD_PLANT_READ_ERROR_IS_END,         /* what cannot be read is where the log ends */
	PD_PLANT_INDEX_ONE_ACTOR,           /* the index of a segment names one actor of each group */
	PD_PLANT_RENAME_UNSYNCED, /* the manifest gets its name before its content is on stable storage */
	PD_PLANT_STATE_MANIFEST_UNSYNCED, /* the same with the manifest of the levels */
	PD_PLANT_STATE_NAMES_UNSYNCED,    /* a manifest of the levels tells of names that may be gone */
	PD_PLANT_CHECKPOINT_UNSYNCED,     /* a checkpoint counts before its names are on stable storage */
	PD_PLANT_CHECKPOINT_IN_PLACE,   /* a checkpoint is made under the name that it has when it is whole */
	PD_PLANT_CHECKPOINT_UNVERIFIED, /* a checkpoint takes the place of the state without a look at it */
	PD_PLANT_RETENTION_IGNORED, /* the log is trimmed behind the newest checkpoint, whatever the window */
	PD_PLANT_FREEZE_OPEN_GROUP, /* what is frozen ends in the middle of a group */
	PD_PLANT_APPLIED_FIRST,     /* the applied position is there before the entries */
	PD_PLANT_FORGET_EXPIRY,     /* what goes to the levels never expires */
	PD_PLANT_FORGET_COUNTERS,   /* how many keys an actor has is not written to the levels */
	PD_PLANT_FORGET_LAST_DELETE,   /* nor when it has deleted anything last */
	PD_PLANT_QUARANTINE_NOT_NOTED, /* who has lost something is forgotten with the process */
	PD_PLANT_VIEW_SETTLES_EARLY, /* a view moves to the levels when the first of its memtables is there */
	PD_PLANT_READS_DO_NOT_WAIT,  /* a read shows what has not settled */
	PD_PLANT_FULL_IS_STRICT,     /* level full does not wait for the levels */
	PD_PLANT_PRECONDITION_STALE, /* what has come and gone since counts as never there */
	PD_PLANT_IDEMPOTENCY_UNCHECKED, /* an idempotency key answers for any request */
	PD_PLANT_EXPIRY_BY_LOCAL_CLOCK, /* whether something has expired is asked of the machine's clock */
	PD_PLANT_CLOCK_RUNS_BACK,       /* time goes back when the wall clock does */
	PD_PLANT_BOOKMARK_NEVER_LOST,   /* a moment that a crash took away is answered as there */
	PD_PLANT_LEASE_NOT_REPLAYED,    /* a start forgets who owns an actor */
	PD_PLANT_LEVEL_NOT_REPLAYED,    /* a start forgets the levels of profiles */
	PD_PLANT_QUOTA_NOT_REPLAYED,    /* a start forgets quotas */
	PD_PLANT_LEASE_RENEWED_STALE,   /* who has lost a lease may renew it */
	PD_PLANT_QUOTA_UNCHECKED,       /* nobody counts the keys that a quota allows */
	PD_PLANT_BLOB_NO_NOTE,          /* nothing tells of chunks whose value was never finished */
	PD_PLANT_BLOB_NOTE_STAYS,       /* chunks of a value that is there are swept as left over */
	PD_PLANT_BLOB_READERS_IGNORED,  /* chunks go while somebody reads them */
	PD_PLANT_BLOB_CHUNKS_STAY,      /* the chunks of a value that is gone stay */
	PD_PLANT_SHORT_WRITE_IS_WHOLE,  /* a write that was cut short counts as whole */
	PD_PLANT_REPLY_OVERTAKES,       /* a reply that has settled is shown before those in front of it */
	PD_PLANT_FOOTER_UNCHECKED,      /* a damaged index of a segment is not reported */
	PD_PLANT_EPOCH_UNCHECKED,       /* a record of an older epoch is read behind one of a newer */
	PD_PLANT_TRIM_UNSYNCED,         /* segments go together, in whatever order the disk likes */
	PD_PLANT_OBJECT_UNSYNCED,       /* an object gets its name before its content is on stable storage */
	PD_PLANT_OBJECT_NAME_UNSYNCED,  /* an object counts as put before its name is on stable storage */
	PD_PLANT_EPOCH_NOT_NOTED,       /* the manifest does not say which epoch the log must reach */
	PD_PLANT_EPOCH_OF_RECORD_ONLY,  /* an epoch whose own record cannot be read has never been */
	PD_PLANT_ARCHIVE_NOT_READ_BACK, /* what was put into the archive counts as it is */
	PD_PLANT_ARCHIVE_HOLDS_NOTHING, /* the log is trimmed before it is archived */
	PD_PLANT_ARCHIVE_AHEAD,         /* what is not durable yet is archived */
	PD_PLANT_ARCHIVE_PIECES_FIRST,  /* a segment's pieces go before all of it is in the archive */
	PD_PLANT_ARCHIVE_UNCLAIMED,     /* nobody looks who has begun an epoch in the archive */
	PD_PLANT_ARCHIVE_UNSETTLED, /* what a killed process has put into the archive counts as it is seen */
	PD_PLANT_ARCHIVE_EXPIRES_FIRST, /* where a base begins is noted when what was before has gone */
	PD_PLANT_FETCHED_UNSYNCED,      /* a fetched segment has its name before its bytes are stable */
	PD_PLANT_PIECE_BELIEVED,        /* a piece of a backup that could not be put counts as put */
	PD_PLANT_LEASE_IGNORED,         /* whoever has had a repository writes on, whoever has it by now */
	PD_PLANT_REPOSITORY_UNSETTLED, /* what a killed process has left in a repository counts as it is seen */
	PD_PLANT_EXPIRE_FORGETS_PIECE, /* one of the pieces that a backup names goes with those that none does */
	PD_PLANT_EXPIRE_PIECES_FIRST,   /* pieces go before the backups that name them */
	PD_PLANT_BACKUP_HASH_UNCHECKED, /* files of a checkpoint are backed up as they are found */
	PD_PLANT_BACKUP_JOINS_BY_LSN,   /* a backup goes on from one of another history */
	PD_PLANT_PLAN_CUTS_RECORD, /* the record that a checkpoint ends with is restored without its beginning */
	PD_PLANT_RESTORED_EPOCH, /* a restored directory goes on in the epoch that the source would have come to */
	PD_PLANT_RESTORED_UNSYNCED,    /* a restored directory's name is left to the kernel */
	PD_PLANT_GO_ON_BY_LSN,         /* a restore goes on with whatever log has the next LSN */
	PD_PLANT_GO_ON_OVER_HOLE,      /* a restore ends before a hole, and tells nobody */
	PD_PLANT_RELATION_ONE_SIDED,   /* only the actor that a relation comes from has it */
	PD_PLANT_DROP_LEAVES_SIDES,    /* a dropped actor stays related, to the others */
	PD_PLANT_HEIR_UNRELATED,       /* what takes an actor's place does not take over its relations */
	PD_PLANT_RELATIONS_ENDED_HALF, /* a restore of relations ends them on its actor's side alone */
	PD_PLANT_BIT_UNPROVEN,         /* whatever looks like a flipped bit is put right */
};

#ifdef PD_PLANTED
/* Is it the one that the environment names? */
bool pd_plant(enum pd_plant plant);
#else
static inline bool pd_plant(enum pd_plant plant)
{
	(void)plant;
	return false;
}
#endif

#endif
