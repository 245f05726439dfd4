// swift-tools-version: 6.0
import PackageDescription

/// Warnings are errors: a warning is either a fault or noise, and both have to go.
let strict: [SwiftSetting] = [
  .unsafeFlags(["-warnings-as-errors"]),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

/// One C library of Debian: a module map and a shim header, nothing else.
func cLibrary(_ name: String, pkgConfig: String, apt package: String) -> Target {
  .systemLibrary(
    name: name, path: "Shared/CLibraries/\(name)", pkgConfig: pkgConfig, providers: [.apt([package])])
}

/// A room under `Shared/`, with the only rooms and C libraries it may know.
func shared(
  _ name: String, _ dependencies: [Target.Dependency] = [], plugins: [Resource] = []
) -> Target {
  .target(
    name: name, dependencies: dependencies, path: "Shared/\(name)",
    resources: plugins.isEmpty ? nil : plugins, swiftSettings: strict)
}

/// A service's three targets: `Main → <S>Service → <S>Domain → Wire` (DESIGN, section 1).
func service(
  _ folder: String, _ name: String, domain: [Target.Dependency] = [], extra: [Target.Dependency] = [],
  directory: Bool = true
) -> [Target] {
  let path = "Services/\(folder)"
  let rooms: [Target.Dependency] =
    ["Wire", "Observability", "Loop", "Threads", "Runtime", "HTTP", "Kafka", "Postgres"]
    + (directory ? ["Directory"] : [])
  return [
    .target(
      name: "\(name)Domain", dependencies: ["Wire"] + domain, path: "\(path)/Domain", swiftSettings: strict),
    .target(
      name: "\(name)Service", dependencies: [.target(name: "\(name)Domain")] + rooms + extra,
      path: path, exclude: ["Domain", "Main"],
      resources: [.embedInCode("openapi.yaml"), .embedInCode("Storage/Migrations")],
      swiftSettings: strict),
    .executableTarget(
      name: "\(name)Main", dependencies: [.target(name: "\(name)Service"), "Runtime"],
      path: "\(path)/Main", swiftSettings: strict),
  ]
}

func tool(_ folder: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(
    name: folder, dependencies: dependencies, path: "Tools/\(folder)", swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: dependencies + ["Loop", "TestSupport"], path: "Tests/\(name)",
    swiftSettings: strict)
}

let package = Package(
  name: "martlet",
  products: [
    .executable(name: "martlet-registry", targets: ["RegistryMain"]),
    .executable(name: "martlet-config", targets: ["ConfigMain"]),
    .executable(name: "martlet-commands", targets: ["CommandsMain"]),
    .executable(name: "martlet-bridge", targets: ["BridgeMain"]),
    .executable(name: "martlet", targets: ["martlet"]),
    .executable(name: "martlet-bench", targets: ["bench"]),
    .executable(name: "devkafka", targets: ["devkafka"]),
  ],
  targets: [
    cLibrary("CMicroHTTPD", pkgConfig: "libmicrohttpd", apt: "libmicrohttpd-dev"),
    cLibrary("CCurl", pkgConfig: "libcurl", apt: "libcurl4-openssl-dev"),
    cLibrary("CRdKafka", pkgConfig: "rdkafka", apt: "librdkafka-dev"),
    cLibrary("CPQ", pkgConfig: "libpq", apt: "libpq-dev"),
    cLibrary("CMosquitto", pkgConfig: "libmosquitto", apt: "libmosquitto-dev"),
    cLibrary("COpenSSL", pkgConfig: "libcrypto", apt: "libssl-dev"),

    // Two lines over Linux itself.
    .systemLibrary(name: "CLinux", path: "Shared/CLibraries/CLinux"),
    // What libmosquitto reads and writes, in few system calls.
    .target(name: "CMosquittoIO", path: "Shared/CLibraries/CMosquittoIO"),
    // RE2 behind a few C functions: patterns of tenants' schemas match in linear time.
    .target(
      name: "CRE2", path: "Shared/CLibraries/CRE2", linkerSettings: [.linkedLibrary("re2")]),
    // The allocator of release builds. Debug builds keep libc's, which the sanitizers replace.
    .target(
      name: "CAllocator", path: "Shared/CLibraries/CAllocator",
      linkerSettings: [.linkedLibrary("jemalloc", .when(configuration: .release))]),

    shared("Wire"),
    shared("JSONSchema", ["Wire", "CRE2"], plugins: [.embedInCode("MetaSchema")]),
    shared("FilterLanguage", ["Wire"]),
    shared("Threads", ["CLinux"]),
    shared("Loop", ["Threads", "CLinux"]),
    shared("Observability", ["Threads"]),
    shared("Crypto", ["COpenSSL"]),
    shared("S3", ["Wire", "Crypto"]),
    shared("HTTP", ["Observability", "Loop", "Threads", "CMicroHTTPD"]),
    // Beside the server: libcurl and what it brings are half a megabyte in each process that has them.
    shared("AsyncHTTPClient", ["HTTP", "Observability", "Threads", "CCurl"]),
    shared("Kafka", ["Observability", "Loop", "Threads", "CRdKafka"]),
    shared("Postgres", ["Observability", "Loop", "Threads", "CPQ"]),
    shared("MQTT", ["Observability", "Loop", "CMosquitto", "CMosquittoIO"]),
    shared(
      "Runtime",
      ["Wire", "Observability", "Loop", "Threads", "Crypto", "HTTP", "Kafka", "Postgres", "CAllocator"]),
    shared("Directory", ["Wire", "Observability", "Loop", "Threads", "Runtime", "Kafka", "Postgres"]),

    tool("devkafka", ["CRdKafka"]),
    .target(
      name: "Simulator", dependencies: ["Wire", "Observability", "Loop", "MQTT", "Runtime", "Crypto"],
      path: "Tools/martlet/Simulator", swiftSettings: strict),
    .executableTarget(
      name: "martlet", dependencies: ["Wire", "Observability", "Loop", "Runtime", "Kafka", "Simulator"],
      path: "Tools/martlet", exclude: ["Simulator"], swiftSettings: strict),
    tool(
      "bench",
      ["Wire", "Observability", "Loop", "HTTP", "AsyncHTTPClient", "Kafka", "MQTT", "Postgres", "Runtime"]),

    .target(
      name: "TestSupport", dependencies: ["Loop", "Threads"], path: "Tests/Support", swiftSettings: strict),
    tests("Loop", ["Threads"]),
    tests("Wire", ["Wire"]),
    tests("JSONSchema", ["JSONSchema", "Wire"]),
    tests(
      "Commands",
      [
        "CommandsDomain", "CommandsService", "Crypto", "Directory", "Runtime", "HTTP", "Kafka", "Postgres",
        "Wire",
        "Observability",
      ]),
    tests("Crypto", ["Crypto", "Wire"]),
    tests("S3", ["S3", "Wire"]),
    tests(
      "Registry",
      [
        "RegistryDomain", "RegistryService", "FilterLanguage", "JSONSchema", "Runtime", "HTTP",
        "AsyncHTTPClient", "Kafka", "Postgres", "Wire", "Observability", "Crypto",
      ]),
    tests("HTTP", ["HTTP", "AsyncHTTPClient", "Observability", "Threads"]),
    tests("Kafka", ["Kafka", "Observability", "Threads"]),
    tests("Postgres", ["Postgres", "Observability", "Threads"]),
    tests("Runtime", ["Runtime", "Threads", "Crypto", "HTTP", "Kafka", "Postgres", "Wire", "Observability"]),
    tests("MQTT", ["MQTT", "Observability", "Threads"]),
    tests(
      "Config",
      [
        "Wire", "Observability", "HTTP", "AsyncHTTPClient", "Kafka", "Postgres", "Runtime", "Directory",
        "Crypto", "S3", "ConfigDomain", "ConfigService", "ConfigMain",
      ]),
    tests(
      "Bridge",
      [
        "BridgeDomain", "BridgeService", "BridgeMain", "Wire", "HTTP", "AsyncHTTPClient", "Kafka", "MQTT",
        "Observability",
      ]),
    tests("Simulator", ["Simulator", "martlet", "Wire", "MQTT", "Crypto", "Observability"]),
  ]
    + service(
      "registry", "Registry", domain: ["JSONSchema"], extra: ["Crypto", "FilterLanguage"], directory: false)
    + service(
      "config", "Config", domain: ["JSONSchema"], extra: ["JSONSchema", "Crypto", "S3", "AsyncHTTPClient"])
    + service("commands", "Commands", extra: ["JSONSchema", "FilterLanguage"])
    + service("bridge", "Bridge", extra: ["MQTT"], directory: false),
  swiftLanguageModes: [.v6]
)
