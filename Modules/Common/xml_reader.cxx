#include "xml_reader.h"

#include "text.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

namespace verdiff
{
namespace
{

class Reader
{
public:
  explicit Reader(std::string_view document)
    : m_Document(document)
  {}

  XmlElement
  Document()
  {
    SkipMisc();
    XmlElement root = Element(0);
    SkipMisc();
    if (m_Position != m_Document.size())
    {
      Fail("text after the root element");
    }
    return root;
  }

private:
  static constexpr int maximumDepth = 10; // as Slicer's parser

  [[noreturn]] void
  Fail(const std::string & what) const
  {
    const auto line = 1 + std::count(m_Document.begin(), m_Document.begin() + static_cast<long>(m_Position), '\n');
    throw std::runtime_error(Format("XML line %ld: %s", static_cast<long>(line), what.c_str()));
  }

  bool
  At(std::string_view token) const
  {
    return m_Document.substr(m_Position, token.size()) == token;
  }

  void
  Expect(std::string_view token)
  {
    if (!At(token))
    {
      Fail("expected \"" + std::string(token) + "\"");
    }
    m_Position += token.size();
  }

  std::string_view
  Until(std::string_view token)
  {
    const size_t end = m_Document.find(token, m_Position);
    if (end == std::string_view::npos)
    {
      Fail("no closing \"" + std::string(token) + "\"");
    }
    const std::string_view text = m_Document.substr(m_Position, end - m_Position);
    m_Position = end + token.size();
    return text;
  }

  void
  SkipBlanks()
  {
    m_Position = std::min(m_Document.find_first_not_of(" \t\r\n", m_Position), m_Document.size());
  }

  bool
  SkipCommentOrInstruction()
  {
    if (At("<!--"))
    {
      Until("-->");
      return true;
    }
    if (At("<?"))
    {
      Until("?>");
      return true;
    }
    return false;
  }

  void
  SkipMisc()
  {
    do
    {
      SkipBlanks();
    } while (SkipCommentOrInstruction());
  }

  std::string
  Name()
  {
    const size_t begin = m_Position;
    const size_t end = std::min(m_Document.find_first_of(" \t\r\n/>=<", begin), m_Document.size());
    if (end == begin)
    {
      Fail("expected a name");
    }
    m_Position = end;
    return std::string(m_Document.substr(begin, end - begin));
  }

  std::string
  Unescape(std::string_view text) const
  {
    static const std::array<std::pair<const char *, char>, 5> entities = {
      { { "lt;", '<' }, { "gt;", '>' }, { "amp;", '&' }, { "quot;", '"' }, { "apos;", '\'' } }
    };
    std::string plain;
    for (size_t i = 0; i < text.size(); ++i)
    {
      if (text[i] != '&')
      {
        plain += text[i];
        continue;
      }
      const auto entity = std::find_if(entities.begin(), entities.end(), [&](const auto & e) {
        return text.substr(i + 1, std::string_view(e.first).size()) == e.first;
      });
      if (entity == entities.end())
      {
        Fail("unknown entity");
      }
      plain += entity->second;
      i += std::string_view(entity->first).size();
    }
    return plain;
  }

  void
  Attributes(XmlElement & element)
  {
    for (SkipBlanks(); !At(">") && !At("/>"); SkipBlanks())
    {
      const std::string attribute = Name();
      SkipBlanks();
      Expect("=");
      SkipBlanks();
      const char * quote = At("'") ? "'" : "\"";
      Expect(quote);
      element.attributes[attribute] = Unescape(Until(quote));
    }
  }

  XmlElement
  Element(int depth)
  {
    if (depth >= maximumDepth)
    {
      Fail("elements nested more than 10 deep");
    }
    XmlElement element;
    Expect("<");
    element.name = Name();
    Attributes(element);
    if (At("/>"))
    {
      m_Position += 2;
      return element;
    }
    Expect(">");
    Content(element, depth);
    return element;
  }

  void
  Content(XmlElement & element, int depth)
  {
    for (;;)
    {
      if (At("</"))
      {
        m_Position += 2;
        if (Name() != element.name)
        {
          Fail("<" + element.name + "> is closed by another name");
        }
        SkipBlanks();
        Expect(">");
        element.text = Trim(element.text);
        return;
      }
      if (At("<![CDATA["))
      {
        m_Position += 9;
        element.text += Until("]]>");
      }
      else if (At("<"))
      {
        if (!SkipCommentOrInstruction())
        {
          element.children.push_back(Element(depth + 1));
        }
      }
      else
      {
        const size_t end = m_Document.find('<', m_Position);
        if (end == std::string_view::npos)
        {
          Fail("<" + element.name + "> is not closed");
        }
        element.text += Unescape(m_Document.substr(m_Position, end - m_Position));
        m_Position = end;
      }
    }
  }

  std::string_view m_Document;
  size_t           m_Position = 0;
};

} // namespace

const XmlElement *
XmlElement::Child(std::string_view childName) const
{
  const auto child =
    std::find_if(children.begin(), children.end(), [&](const XmlElement & c) { return c.name == childName; });
  return child == children.end() ? nullptr : &*child;
}

std::string
XmlElement::ChildText(std::string_view childName) const
{
  const XmlElement * child = Child(childName);
  return child ? child->text : std::string();
}

XmlElement
ReadXml(std::string_view document)
{
  return Reader(document).Document();
}

} // namespace verdiff
