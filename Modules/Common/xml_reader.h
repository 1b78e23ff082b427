// A reader for the small part of XML that program descriptions use: elements, attributes, text,
// CDATA, comments and the five named entities. No namespaces, no document types.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace verdiff
{

struct XmlElement
{
  std::string                        name;
  std::map<std::string, std::string> attributes;
  std::string                        text; // all character data directly inside, trimmed
  std::vector<XmlElement>            children;

  const XmlElement *
  Child(std::string_view childName) const;

  std::string
  ChildText(std::string_view childName) const;
};

/// @throw std::runtime_error naming the line of the first mistake.
XmlElement
ReadXml(std::string_view document);

} // namespace verdiff
