import Foundation

/// The programs of this build, for tests that start them.
public enum Built {
  /// The path of a program: the test binary lies in the build folder, or in a bundle within it.
  public static func path(_ name: String) throws -> String {
    for argument in ["/proc/self/exe"] + CommandLine.arguments {
      var folder = URL(filePath: argument).resolvingSymlinksInPath()
      for _ in 0..<4 {
        folder.deleteLastPathComponent()
        let path = folder.appending(path: name).path
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue {
          return path
        }
      }
    }
    throw TestSupportError("\(name) has not been built")
  }
}
