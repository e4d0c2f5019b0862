/* The fixed part of a record, shared by what writes it and what reads it. */
#ifndef PD_LOG_RECORD_PRIVATE_H
#define PD_LOG_RECORD_PRIVATE_H

#define PD_RECORD_FIXED_SIZE 10u /* crc, length, kind, flags */
#define PD_RECORD_KIND_AT    8u

#define PD_RECORD_FLAG_LEVEL      0x07 /* enum pd_level */
#define PD_RECORD_FLAG_EXTENSIONS 0x08
#define PD_RECORD_FLAG_COMPRESSED 0x10 /* reserved */
#define PD_RECORD_FLAG_ENCRYPTED  0x20 /* reserved */
#define PD_RECORD_FLAGS_KNOWN     (PD_RECORD_FLAG_LEVEL | PD_RECORD_FLAG_EXTENSIONS)

#endif
