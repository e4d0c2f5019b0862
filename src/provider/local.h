/* An object store in a directory: a disk of this machine, or a file system mounted from elsewhere (NFS, a tape). */
#ifndef PD_PROVIDER_LOCAL_H
#define PD_PROVIDER_LOCAL_H

#include "os/os.h"
#include "provider/object_store.h"

/* `path` is a directory, which is there; object "a/b" is its file a/b. Only a put writes anything besides. Whatever else lies in it is
 * let be, and not listed if its name is none for an object.
 * Errors: PD_NOT_FOUND: there is no such directory; PD_INVALID: it is none. */
PD_MUST_CHECK int pd_object_store_local_new(struct pd_os *os, const char *path,
					    struct pd_object_store **ret_store, struct pd_error *err);

#endif
