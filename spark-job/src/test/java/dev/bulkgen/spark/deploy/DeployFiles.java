package dev.bulkgen.spark.deploy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.SparkConf;
import org.apache.spark.util.Utils;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.constructor.SafeConstructor;
import scala.jdk.javaapi.CollectionConverters;

/** The files of {@code conf/} and {@code deploy/} as their readers read them. */
final class DeployFiles {
  static final Path ROOT = Path.of("..").toAbsolutePath().normalize();

  private DeployFiles() {}

  /** Those of a folder and of the folders in it, by their names from the root on. */
  static List<String> all(String... folders) throws IOException {
    List<String> names = new ArrayList<>();
    for (String folder : folders) {
      try (Stream<Path> files = Files.walk(ROOT.resolve(folder))) {
        files
            .filter(Files::isRegularFile)
            .map(file -> ROOT.relativize(file).toString())
            .filter(name -> !name.contains("__pycache__"))
            .forEach(names::add);
      }
    }
    names.sort(null);
    return names;
  }

  static List<String> ending(String end) throws IOException {
    return all("conf", "deploy").stream().filter(name -> name.endsWith(end)).toList();
  }

  static String text(String name) throws IOException {
    return Files.readString(ROOT.resolve(name));
  }

  /** As spark-submit reads a properties file. */
  static Map<String, String> properties(String name) {
    return new TreeMap<>(
        CollectionConverters.asJava(Utils.getPropertiesFromFile(ROOT.resolve(name).toString())));
  }

  static SparkConf sparkConf(Map<String, String> properties) {
    SparkConf conf = new SparkConf(false);
    properties.forEach(conf::set);
    return conf;
  }

  /** The documents of a YAML text. */
  static List<Map<String, Object>> yaml(String text) {
    List<Map<String, Object>> documents = new ArrayList<>();
    for (Object document : new Yaml(new SafeConstructor(new LoaderOptions())).loadAll(text)) {
      @SuppressWarnings("unchecked") // every document here is a map
      Map<String, Object> map = (Map<String, Object>) document;
      documents.add(map);
    }
    return documents;
  }
}
