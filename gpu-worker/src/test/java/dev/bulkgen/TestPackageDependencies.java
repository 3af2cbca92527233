package dev.bulkgen;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption.DoNotIncludeTests;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.library.dependencies.SlicesRuleDefinition;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Packages import only what stands before them in the way of the data. */
class TestPackageDependencies {
  private static final List<String> ORDER =
      List.of(
          "error",
          "config",
          "tensor",
          "model",
          "text",
          "sampling",
          "cache",
          "schedule",
          "backend",
          "engine",
          "cli");

  private static JavaClasses classes;

  @BeforeAll
  static void importClasses() {
    classes =
        new ClassFileImporter()
            .withImportOption(new DoNotIncludeTests())
            .importPackages("dev.bulkgen");
  }

  @Test
  void testOrder() {
    for (int i = 0; i < ORDER.size(); i++) {
      String[] later =
          ORDER.subList(i + 1, ORDER.size()).stream()
              .map(TestPackageDependencies::tree)
              .toArray(String[]::new);
      if (later.length > 0) {
        ArchRule rule =
            noClasses()
                .that()
                .resideInAPackage(tree(ORDER.get(i)))
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage(later)
                .allowEmptyShould(true);
        rule.check(classes);
      }
    }
  }

  @Test
  void testEveryPackageHasItsPlace() {
    Set<String> found = new TreeSet<>();
    for (JavaClass type : classes) {
      String below = type.getPackageName().replaceFirst("^dev\\.bulkgen\\.?", "");
      found.add(below.split("\\.")[0]);
    }
    found.remove("kernels");
    found.removeAll(ORDER);
    Assertions.assertEquals(Set.of(), found);
  }

  @Test
  void testOnlyTheCpuBackendImportsTheVectorModule() {
    onlyIn("jdk.incubator.vector", tree("backend.cpu"));
  }

  @Test
  void testOnlyTheCudaBackendImportsJcuda() {
    onlyIn("jcuda..", tree("backend.cuda"));
  }

  @Test
  void testBackendsDoNotKnowEachOther() {
    noClasses()
        .that()
        .resideInAPackage("dev.bulkgen.backend")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(tree("backend.cpu"), tree("backend.cuda"))
        .check(classes);
    SlicesRuleDefinition.slices()
        .matching("dev.bulkgen.backend.(*)..")
        .should()
        .notDependOnEachOther()
        .allowEmptyShould(true)
        .check(classes);
  }

  @Test
  void testSparkStaysOutside() {
    noClasses()
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("org.apache.spark..", "org.apache.hadoop..")
        .check(classes);
  }

  private static void onlyIn(String dependency, String home) {
    noClasses()
        .that(not(resideInAnyPackage(home)))
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(dependency)
        .check(classes);
  }

  private static String tree(String name) {
    return "dev.bulkgen." + name + "..";
  }
}
