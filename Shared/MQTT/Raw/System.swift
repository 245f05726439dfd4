import Glibc

/// One open `/dev/null` for the whole process.
let nullDescriptor: Int32 = open("/dev/null", O_RDWR | O_CLOEXEC)
